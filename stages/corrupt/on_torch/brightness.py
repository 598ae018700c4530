"""Brightness, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.brightness import table
from stages.corrupt.kernels.kernel import ADDED, Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import looked_up

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image with hue and saturation kept and the value raised by ``amount``."""
    import torch

    settings = parameters[0]
    by_largest = table(float(settings["amount"]), ADDED[settings["rounding"]])
    largest = images.amax(dim=3, keepdim=True).to(torch.int32)
    return looked_up(by_largest, largest * 256 + images)


KERNEL = BatchedKernel("brightness", render)
