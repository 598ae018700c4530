"""Enhance contrast, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import divided, truncated

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image with distances from its mean grey multiplied, clipped and cut off."""
    import torch

    levels = images.to(torch.int32)
    if images.shape[3] == 3:
        red, green, blue = levels.unbind(3)
        levels = 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16  # see `luminance`
    sums = levels.flatten(1).sum(dim=1, dtype=torch.int64).to(torch.float64)
    means = (divided(sums, levels[0].numel()) + 0.5).floor().to(torch.float32).view(-1, 1, 1, 1)
    factor = float(np.float32(parameters[0]["factor"]))
    return truncated(means + (images.to(torch.float32) - means) * factor)


KERNEL = BatchedKernel("enhance_contrast", render)
