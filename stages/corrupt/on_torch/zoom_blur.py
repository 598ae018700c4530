"""Zoom blur, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from stages.corrupt.kernels.kernel import ADDED, Parameters
from stages.corrupt.kernels.zoom_blur import Crop, positions
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant, divided, truncated

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return (image + the sum of its bilinear enlargements) / (count + 1) for each image."""
    import torch

    settings = parameters[0]
    _, height, width, _ = images.shape
    enlargements = float(settings["step"]), int(settings["count"]), cast("Crop", settings["crop"])
    rows, row_parts = (constant(a, images) for a in positions(height, *enlargements))
    columns, column_parts = (constant(a, images) for a in positions(width, *enlargements))
    # Two rows and columns of zeros follow the image (see `positions`).
    padded = torch.nn.functional.pad(images, (0, 0, 0, 2, 0, 2)).to(torch.float32)
    own = images.to(torch.float32)
    total = own + own  # the image and its first enlargement, 1
    for f in range(1, len(rows)):
        upper, lower = padded.index_select(1, rows[f]), padded.index_select(1, rows[f] + 1)
        between = upper + row_parts[f].view(-1, 1, 1) * (lower - upper)
        left, right = between.index_select(2, columns[f]), between.index_select(2, columns[f] + 1)
        total += left + column_parts[f].view(-1, 1) * (right - left)
    return truncated(divided(total, len(rows) + 1) + ADDED[settings["rounding"]])


KERNEL = BatchedKernel("zoom_blur", render)
