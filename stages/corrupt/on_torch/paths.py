"""Sums of copies shifted along a line, for the images of a batch with an angle each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.exact_math import sin_cos_degrees
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.kernels.motion_blur import fill_path
from stages.corrupt.on_torch.constants import constant

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Paths:
    """The shifted copies of each image of a batch."""

    shifts: NDArray[np.int64]
    """(2, N, copies): rows and columns in pixels."""

    weights: NDArray[Any]
    """(N, copies), float32 or float64; those after the end of a path are 0, which adds nothing."""


def paths(
    parameters: Sequence[Parameters], weights: NDArray[Any], limits: tuple[int, int] | None
) -> Paths:
    """Return the path along each image's ``angle``, whose copies have `weights`.

    It ends at the first shift of as many rows or columns as `limits`, if there are any.
    """
    shifts = np.empty((2, len(parameters), weights.size), np.int64)
    shares = np.tile(weights, (len(parameters), 1))
    copies = np.empty((2, weights.size), np.int64)
    for row, entry in enumerate(parameters):
        fill_path(*sin_cos_degrees(float(entry["angle"])), copies)
        shifts[:, row] = copies
        if limits is not None:
            outside = (np.abs(copies[0]) >= limits[0]) | (np.abs(copies[1]) >= limits[1])
            shares[row, np.maximum.accumulate(outside)] = 0.0
    return Paths(shifts, shares)


def sum_of_copies(values: Tensor, along: Paths, height: int, width: int) -> Tensor:
    """Return the weighted sum of copies, beginning with the first; edges are replicated.

    Parameters
    ----------
    values : (N, H, W, C) tensor
    height, width : int
        Of the sum, which may be smaller than `values`.
    """
    import torch

    count, rows, columns, channels = values.shape
    batch = torch.arange(count, device=values.device).view(-1, 1, 1)
    y = torch.arange(height, device=values.device)
    x = torch.arange(width, device=values.device)
    down, right = constant(along.shifts, values).unbind(0)
    weights = constant(along.weights, values).view(count, -1, 1, 1, 1)
    shape = count, height, width, channels
    total = torch.zeros(shape, dtype=weights.dtype, device=values.device)
    for k in np.flatnonzero(along.weights.any(axis=0)).tolist():
        from_rows = (y - down[:, k : k + 1]).clamp(0, rows - 1)
        from_columns = (x - right[:, k : k + 1]).clamp(0, columns - 1)
        copy = values[batch, from_rows.unsqueeze(2), from_columns.unsqueeze(1)]
        total += copy.to(weights.dtype) * weights[:, k]
    return total
