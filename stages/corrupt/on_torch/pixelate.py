"""Pixelate, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.kernels.pixelate import boxes, shown
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image shrunk to ``int(side * scale)`` and enlarged again, in whole numbers."""
    import torch

    settings = parameters[0]
    _, height, width, _ = images.shape
    scale = float(settings["scale"])
    few_rows, few_columns = int(height * scale), int(width * scale)
    enlarging = str(settings["enlarging"])
    # Columns first, then rows, each rounded to whole grey levels: Pillow's order.
    narrow = _averaged(images.to(torch.int32), 2, boxes(width, few_columns))
    small = _averaged(narrow, 1, boxes(height, few_rows)).to(torch.uint8)
    tall = small.index_select(1, constant(shown(height, few_rows, enlarging), images))
    return tall.index_select(2, constant(shown(width, few_columns, enlarging), images))


def _averaged(values: Tensor, axis: int, over: NDArray[np.int64]) -> Tensor:
    """Return the mean of each box of an axis, rounded: those of `kernels.pixelate.boxes`."""
    import torch

    # running at x is the sum of the values before x.
    running = values.cumsum(axis, dtype=torch.int32)
    running = torch.cat([torch.zeros_like(values.narrow(axis, 0, 1)), running], dim=axis)
    starts, ends = constant(over[:, 0], values), constant(over[:, 0] + over[:, 1], values)
    weights = constant(over[:, 2].astype(np.int32), values)
    weights = weights.view(-1, *[1] * (values.ndim - axis - 1))
    sums = running.index_select(axis, ends) - running.index_select(axis, starts)
    return (sums * weights + (1 << 21)) >> 22


KERNEL = BatchedKernel("pixelate", render)
