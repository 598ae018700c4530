"""Motion blur, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import ADDED, Parameters
from stages.corrupt.kernels.motion_blur import path_weights
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.paths import paths, sum_of_copies

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image blurred along its ``angle``."""
    _, height, width, _ = images.shape
    settings = parameters[0]
    weights = path_weights(2 * int(settings["radius"]) + 1, float(settings["sigma"]))
    weights = weights.astype(np.float32)
    along = paths(parameters, weights, (height, width) if settings["end"] == "at edge" else None)
    total = sum_of_copies(images, along, height, width)
    return truncated(total.clamp(0.0, 255.0) + ADDED[settings["rounding"]])


KERNEL = BatchedKernel("motion_blur", render, own=frozenset({"angle"}))
