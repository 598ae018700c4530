"""Weighted sums along rows and columns, in the order of `kernels.gaussian_filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.borders import Border, nearest
from stages.corrupt.kernels.gaussian_filter import half_weights
from stages.corrupt.on_torch.constants import constant

if TYPE_CHECKING:
    from torch import Tensor


def smooth(
    planes: Tensor,
    sigmas: tuple[float, float],
    *,
    truncate: float = 4.0,
    border: Border = nearest,
) -> Tensor:
    """Return `planes` smoothed down their columns and then along their rows.

    Parameters
    ----------
    planes : (N, H, W, C) float32
    sigmas, truncate, border
        As for `kernels.gaussian_filter.smooth`.
    """
    for axis, sigma in enumerate(sigmas, start=1):
        weights = half_weights(sigma, truncate).astype(np.float32)
        planes = weighted(planes, axis, weights, border)
    return planes


def weighted(
    planes: Tensor, axis: int, weights: NDArray[Any], border: Border, *, inwards: bool = False
) -> Tensor:
    """Return the sum of `planes` and their neighbours along `axis`, weighted by distance.

    Parameters
    ----------
    planes : (N, H, W, C) float32 or float64
    weights : (reach + 1,) of the same dtype
        Of a value itself and of those 1, 2, … beside it.
    inwards : bool
        The neighbours are added from the farthest to the nearest; otherwise the other way round.
    """
    side, reach = planes.shape[axis], len(weights) - 1
    padded = planes.index_select(axis, constant(border(side, reach), planes))
    total = planes * float(weights[0])
    for k in range(reach, 0, -1) if inwards else range(1, reach + 1):
        before = padded.narrow(axis, reach - k, side)
        after = padded.narrow(axis, reach + k, side)
        total += (before + after) * float(weights[k])
    return total
