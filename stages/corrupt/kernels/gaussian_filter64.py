"""The Gaussian filter of `scipy.ndimage` to the last bit, for what a threshold follows."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.borders import nearest
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.gaussian_filter import half_weights

_UNROLL = 2
"""Pairs of rows or columns added per pass over a row."""


@functools.lru_cache(maxsize=256)
def half_filter(
    sigma: float, height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the weights of `sigma` pixels, and the rows and columns that they reach.

    The weights of `half_weights` are filled up to an even number of pairs with weights 0, which
    add exactly nothing.
    """
    weights = half_weights(sigma)
    filled = np.pad(weights, (0, (1 - weights.size) % _UNROLL))
    filled.setflags(write=False)
    reach = filled.size - 1
    return filled, nearest(height, reach), nearest(width, reach)


@compiled(
    "void(Array(float64, 2, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " int64, Array(float64, 1, 'C', True), boolean, float64[:, ::1])"
)
def smooth_in_float64(
    plain: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    channels: int,
    weights: NDArray[np.float64],
    single: bool,
    smooth: NDArray[np.float64],
) -> None:
    """Write `plain`, smoothed by a filter of `half_filter`, to `smooth`. For compiled callers.

    The order is that of `scipy.ndimage`: down the columns, then along the rows, the farthest
    pairs first. The edge pixels go on beyond the edges.

    Parameters
    ----------
    plain, smooth : (H, W * channels) float64
        Must not overlap.
    rows, columns, weights
        Those of `half_filter` for H and W.
    channels : int
        Neighbours in a row that belong to one pixel.
    single : bool
        Both passes round to float32, as `scipy` does of a float32 image.
    """
    height, size = plain.shape
    reach = weights.size - 1
    margin = reach * channels
    line = np.empty(size + 2 * margin, np.float64)
    inner = line[margin : margin + size]
    for y in range(height):
        own, total = plain[y], smooth[y]
        for x in range(size):
            inner[x] = own[x] * weights[0]
        for k in range(reach, 0, -2):
            w0, w1 = weights[k], weights[k - 1]
            a0, b0 = plain[rows[y + reach - k]], plain[rows[y + reach + k]]
            a1, b1 = plain[rows[y + reach - k + 1]], plain[rows[y + reach + k - 1]]
            for x in range(size):
                inner[x] = inner[x] + (a0[x] + b0[x]) * w0 + (a1[x] + b1[x]) * w1
        if single:
            _round(inner)
        _smooth_along(line, columns, channels, weights, total)
        if single:
            _round(total)


@compiled(
    "void(float64[::1], Array(int64, 1, 'C', True), int64, Array(float64, 1, 'C', True),"
    " float64[::1])"
)
def _smooth_along(
    line: NDArray[np.float64],
    columns: NDArray[np.int64],
    channels: int,
    weights: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    # The row lies in the middle of the line, whose margins are filled first.
    reach, size = weights.size - 1, total.size
    margin = reach * channels
    inner = line[margin:]
    for i in range(reach):
        left, right = columns[i] * channels, columns[columns.size - reach + i] * channels
        for c in range(channels):
            line[i * channels + c] = inner[left + c]
            inner[size + i * channels + c] = inner[right + c]
    for x in range(size):
        total[x] = inner[x] * weights[0]
    for k in range(reach, 0, -2):
        w0, w1 = weights[k], weights[k - 1]
        a0, b0 = line[margin - k * channels :], inner[k * channels :]
        a1, b1 = line[margin - (k - 1) * channels :], inner[(k - 1) * channels :]
        for x in range(size):
            total[x] = total[x] + (a0[x] + b0[x]) * w0 + (a1[x] + b1[x]) * w1


@compiled("void(float64[::1])")
def _round(values: NDArray[np.float64]) -> None:
    for i in range(values.size):
        values[i] = np.float64(np.float32(values[i]))
