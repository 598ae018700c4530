"""Enhance brightness, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image multiplied by ``factor``, clipped and cut off."""
    import torch

    return truncated(images.to(torch.float32) * float(np.float32(parameters[0]["factor"])))


KERNEL = BatchedKernel("enhance_brightness", render)
