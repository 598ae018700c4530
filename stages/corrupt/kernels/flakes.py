"""A layer of flakes: a field of numbers enlarged, thresholded and blurred along their fall."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.motion_blur import path_weights
from stages.corrupt.kernels.zoom_blur import enlarged

_UNROLL = 4
"""Copies added per pass over a row."""


@functools.lru_cache(maxsize=64)
def positions(side: int, zoom: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return where the enlargement of `side` pixels samples them: see `zoom_blur.enlarged`.

    Sample x lies at pixel ``first[x] + part[x]``; ``first[x]`` is -1 where rounding has pushed it
    past the last pixel, which reads 0.
    """
    at = enlarged(side, zoom)
    whole = np.floor(at)
    first = np.where(at > side - 1, -1, whole).astype(np.int64)
    part = at - whole
    for array in (first, part):
        array.setflags(write=False)
    return first, part


@functools.lru_cache(maxsize=64)
def filled_path_weights(length: int, sigma: float) -> NDArray[np.float64]:
    """Return the weights of `motion_blur.path_weights`, filled up with 0 to a multiple of 4.

    A weight 0 adds exactly nothing.
    """
    weights = np.pad(path_weights(length, sigma), (0, -length % _UNROLL))
    weights.setflags(write=False)
    return weights


@compiled(
    "void(Array(float32, 2, 'C', True), UniTuple(float64, 3), Array(int64, 1, 'C', True),"
    " Array(float64, 1, 'C', True), Array(int64, 1, 'C', True), Array(float64, 1, 'C', True),"
    " int64, int64, float64[:, ::1])"
)
def enlarge(
    field: NDArray[np.float32],
    law: tuple[float, float, float],
    rows: NDArray[np.int64],
    row_parts: NDArray[np.float64],
    columns: NDArray[np.int64],
    column_parts: NDArray[np.float64],
    up: int,
    left: int,
    layer: NDArray[np.float64],
) -> None:
    """Fill `layer` with the enlarged, thresholded and clipped field. For compiled callers.

    Parameters
    ----------
    field : (h, w) float32
    law : tuple of float
        Mean, spread and threshold.
    rows, row_parts, columns, column_parts : 1D arrays
        Those of `positions` for both axes.
    up, left : int
        The enlarged field begins at this row and this column; beyond its edges its edge pixels go
        on.
    layer : 2D float64
    """
    mean, spread, threshold = law
    height, width = field.shape
    upper, lower = np.zeros(width + 1), np.zeros(width + 1)
    for i in range(layer.shape[0]):
        out, y = layer[i], min(max(i - up, 0), rows.size - 1)
        if i > 0 and y == min(max(i - 1 - up, 0), rows.size - 1):
            out[:] = layer[i - 1]
            continue
        if rows[y] < 0:
            out[:] = 0.0
            continue
        one, other = field[rows[y]], field[min(rows[y] + 1, height - 1)]
        part = row_parts[y]
        for x in range(width):
            upper[x] = (mean + spread * np.float64(one[x])) * (1.0 - part)
            lower[x] = (mean + spread * np.float64(other[x])) * part
        inner = out[left:]
        for x in range(min(columns.size, inner.size)):
            at, part = columns[x], column_parts[x]
            rest = 1.0 - part
            value = (
                upper[at] * rest + upper[at + 1] * part + lower[at] * rest + lower[at + 1] * part
            )
            value = value if at >= 0 and value >= threshold else 0.0
            inner[x] = min(max(value, 0.0), 1.0)
        for x in range(left):
            out[x] = inner[0]
        for x in range(columns.size, inner.size):
            inner[x] = inner[columns.size - 1]


@compiled(
    "void(Array(float64, 2, 'C', True), Array(int64, 2, 'C', True), Array(float64, 1, 'C', True),"
    " int64, int64, uint8[:, ::1])"
)
def fall(
    layer: NDArray[np.float64],
    copies: NDArray[np.int64],
    weights: NDArray[np.float64],
    up: int,
    left: int,
    flakes: NDArray[np.uint8],
) -> None:
    """Write the weighted sum of shifted copies of `layer`, in whole levels. For compiled callers.

    Parameters
    ----------
    layer : 2D float64
        Values from 0 to 1; the picture begins at row `up` and column `left`.
    copies : (2, length) int64
        Rows and columns by which each copy is shifted.
    weights : (length,) float64
        `length` is a multiple of 4.
    flakes : (H, W) uint8
    """
    height, width = flakes.shape
    total = np.empty(width, np.float64)
    for y in range(height):
        total[:] = 0.0
        for k in range(0, weights.size, 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            s0 = layer[y + up - copies[0, k]][left - copies[1, k] :]
            s1 = layer[y + up - copies[0, k + 1]][left - copies[1, k + 1] :]
            s2 = layer[y + up - copies[0, k + 2]][left - copies[1, k + 2] :]
            s3 = layer[y + up - copies[0, k + 3]][left - copies[1, k + 3] :]
            for x in range(width):
                total[x] = total[x] + w0 * s0[x] + w1 * s1[x] + w2 * s2[x] + w3 * s3[x]
        for x in range(width):
            flakes[y, x] = np.uint8(np.int32(np.rint(total[x] * 255.0)))
