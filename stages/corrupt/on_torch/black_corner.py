"""Black corner, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.black_corner import disk_columns
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image, black outside the disk."""
    import torch

    _, height, width, _ = images.shape
    columns = disk_columns(height, width, float(parameters[0]["multiplier"]))
    first, end = constant(columns, images).unsqueeze(2).unbind(1)
    x = torch.arange(width, device=images.device)
    return images * ((x >= first) & (x < end)).unsqueeze(2)


KERNEL = BatchedKernel("black_corner", render)
