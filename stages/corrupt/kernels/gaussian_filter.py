"""The Gaussian filter of `scipy.ndimage`, along rows and columns, in a written order."""

from __future__ import annotations

import functools
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.compiling import compiled

_UNROLL = 2
"""Pairs of rows or columns added per pass over a row."""

_DIGITS = Context(prec=40)
"""Decimal arithmetic is done in integers, and 40 digits round to the nearest float64."""


@functools.lru_cache(maxsize=256)
def half_weights(sigma: float, truncate: float = 4.0) -> NDArray[np.float64]:
    """Return the weights of the centre and of the pixels 1, 2, … beside it; read-only.

    exp(-x**2 / (2 sigma**2)) divided by the sum over both sides, up to
    x = int(truncate sigma + 1/2) as in `scipy.ndimage.gaussian_filter1d`. The exponentials are
    the nearest float64: where flat areas are truncated, the last bit decides about a grey level.
    """
    reach = int(truncate * sigma + 0.5)
    scale = -0.5 / (sigma * sigma)
    bell = [float(Decimal(scale * (x * x)).exp(_DIGITS)) for x in range(reach + 1)]
    total = 0.0
    for x in range(-reach, reach + 1):
        total += bell[abs(x)]
    weights = np.array([value / total for value in bell])
    weights.setflags(write=False)
    return weights


@functools.lru_cache(maxsize=256)
def nearest(side: int, reach: int) -> NDArray[np.int64]:
    """Return the pixels at -reach … side + reach - 1, where the edge pixel goes on (a a|a b)."""
    pixels = np.clip(np.arange(-reach, side + reach), 0, side - 1)
    pixels.setflags(write=False)
    return pixels


@functools.lru_cache(maxsize=256)
def reflected(side: int, reach: int) -> NDArray[np.int64]:
    """Return the pixels at -reach … side + reach - 1, mirrored at the edge (b a|a b)."""
    pixels = np.arange(-reach, side + reach) % (2 * side)
    pixels = np.minimum(pixels, 2 * side - 1 - pixels)
    pixels.setflags(write=False)
    return pixels


def smooth(
    plane: NDArray[np.float32],
    channels: int,
    sigmas: tuple[float, float],
    out: NDArray[np.float32],
    *,
    truncate: float = 4.0,
    mirror: bool = False,
) -> None:
    """Write to `out` the `plane` smoothed down its columns and then along its rows.

    Parameters
    ----------
    plane : (H, W * channels) float32
    channels : int
        Neighbours in a row that belong to one pixel.
    sigmas : tuple of float
        Pixels; standard deviations down the columns and along the rows.
    out : (H, W * channels) float32
        Must not overlap `plane`.
    truncate : float
        Weights end at this many standard deviations.
    mirror : bool
        The image is mirrored at its edges; otherwise its edge pixels go on.
    """
    height, size = plane.shape
    beyond = reflected if mirror else nearest
    down, along = (_whole_passes(sigma, truncate) for sigma in sigmas)
    rows = beyond(height, down.size - 1)
    columns = beyond(size // channels, along.size - 1)
    _smooth(plane, rows, columns, channels, down, along, out)


@functools.lru_cache(maxsize=256)
def _whole_passes(sigma: float, truncate: float) -> NDArray[np.float32]:
    """Return `half_weights` filled up with weights 0, which add exactly nothing."""
    weights = half_weights(sigma, truncate)
    filled = np.zeros(1 - (1 - weights.size) // _UNROLL * _UNROLL, np.float32)
    filled[: weights.size] = weights
    filled.setflags(write=False)
    return filled


@compiled(
    "void(Array(float32, 2, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " int64, Array(float32, 1, 'C', True), Array(float32, 1, 'C', True), float32[:, ::1])"
)
def _smooth(
    plane: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    channels: int,
    down: NDArray[np.float32],
    along: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    height, size = plane.shape
    reach = down.size - 1
    margin = (along.size - 1) * channels
    line = np.empty(size + 2 * margin, np.float32)
    inner = line[margin:]
    for y in range(height):
        own = plane[rows[y + reach]]
        for j in range(size):
            inner[j] = down[0] * own[j]
        for k in range(1, down.size, 2):
            w0, w1 = down[k], down[k + 1]
            a0, b0 = plane[rows[y + reach - k]], plane[rows[y + reach + k]]
            a1, b1 = plane[rows[y + reach - k - 1]], plane[rows[y + reach + k + 1]]
            for j in range(size):
                inner[j] = inner[j] + w0 * (a0[j] + b0[j]) + w1 * (a1[j] + b1[j])
        for i in range(2 * (along.size - 1)):  # left of the row, then right of it
            at = i + i // (along.size - 1) * (size // channels)
            for c in range(channels):
                line[at * channels + c] = inner[columns[at] * channels + c]
        total = out[y]
        for j in range(size):
            total[j] = along[0] * inner[j]
        for k in range(1, along.size, 2):
            w0, w1 = along[k], along[k + 1]
            left0, right0 = line[margin - k * channels :], line[margin + k * channels :]
            left1 = line[margin - (k + 1) * channels :]
            right1 = line[margin + (k + 1) * channels :]
            for j in range(size):
                total[j] = total[j] + w0 * (left0[j] + right0[j]) + w1 * (left1[j] + right1[j])
