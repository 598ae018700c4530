"""Contrast, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.kernel import ADDED, LEVELS, Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant, divided

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return (image - mean) factor + mean per channel, clipped and brought to whole grey levels.

    As natively, the mean of a channel is an integer sum and one division, and the rest a table.
    """
    import torch

    count, height, width, channels = images.shape
    settings = parameters[0]
    sums = images.sum(dim=(1, 2), dtype=torch.int64).to(torch.float64)
    means = divided(sums, 255.0 * (height * width)).view(count, 1, channels)
    distances = (constant(LEVELS, images).view(1, 256, 1) - means) * float(settings["factor"])
    values = (distances + means).clamp(0.0, 1.0) * 255.0 + ADDED[settings["rounding"]]
    new = values.to(torch.int32).to(torch.uint8)
    levels = images.view(count, height * width, channels).to(torch.int64)
    return new.gather(1, levels).view(images.shape)


KERNEL = BatchedKernel("contrast", render)
