"""The Gaussian filter of `scipy.ndimage`, along rows and columns, in a written order."""

from __future__ import annotations

import functools
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.borders import Border, nearest
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.exact_math import DIGITS
from stages.corrupt.kernels.kernel import Image

_UNROLL = 2
"""Pairs of rows or columns added per pass over a row."""


@functools.lru_cache(maxsize=256)
def half_weights(sigma: float, truncate: float = 4.0) -> NDArray[np.float64]:
    """Return the weights of the centre and of the pixels 1, 2, … beside it; read-only.

    exp(-x**2 / (2 sigma**2)) divided by the sum over both sides, up to
    x = int(truncate sigma + 1/2) as in `scipy.ndimage.gaussian_filter1d`. The exponentials are
    the nearest float64: where flat areas are truncated, the last bit decides about a grey level.
    """
    reach = int(truncate * sigma + 0.5)
    scale = -0.5 / (sigma * sigma)
    bell = [float(Decimal(scale * (x * x)).exp(DIGITS)) for x in range(reach + 1)]
    total = 0.0
    for x in range(-reach, reach + 1):
        total += bell[abs(x)]
    weights = np.array([value / total for value in bell])
    weights.setflags(write=False)
    return weights


def smoothed(
    image: Image,
    sigma: float,
    added: float,
    *,
    truncate: float = 4.0,
    border: Border = nearest,
) -> Image:
    """Return `image` smoothed as by `smooth` in both directions, cut off to whole grey levels.

    Parameters
    ----------
    image : (H, W, C) uint8
    sigma : float
        Pixels; standard deviation.
    added : float
        Grey levels; added before the fraction is cut off.
    truncate, border
        As for `smooth`.
    """
    height, width, channels = image.shape
    plane, out = scratch.floats((2, height, width * channels))
    levels = np.empty_like(image)
    _to_floats(image.reshape(-1), plane.reshape(-1))
    smooth(plane, channels, (sigma, sigma), out, truncate=truncate, border=border)
    _truncate(out.reshape(-1), added, levels.reshape(-1))
    return levels


def smooth(
    plane: NDArray[np.float32],
    channels: int,
    sigmas: tuple[float, float],
    out: NDArray[np.float32],
    *,
    truncate: float = 4.0,
    border: Border = nearest,
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
    border : Border
        What lies beyond the edges.
    """
    height, size = plane.shape
    down, along = (_whole_passes(sigma, truncate) for sigma in sigmas)
    rows = border(height, down.size - 1)
    columns = border(size // channels, along.size - 1)
    _smooth(plane, rows, columns, channels, down, along, out)


@functools.lru_cache(maxsize=256)
def _whole_passes(sigma: float, truncate: float) -> NDArray[np.float32]:
    """Return `half_weights` filled up with weights 0, which add exactly nothing."""
    weights = half_weights(sigma, truncate)
    filled = np.pad(weights.astype(np.float32), (0, (1 - weights.size) % _UNROLL))
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


@compiled("void(Array(uint8, 1, 'C', True), float32[::1])")
def _to_floats(image: Image, values: NDArray[np.float32]) -> None:
    for i in range(image.size):
        values[i] = np.float32(image[i])


@compiled("void(Array(float32, 1, 'C', True), float32, uint8[::1])")
def _truncate(values: NDArray[np.float32], added: float, levels: Image) -> None:
    for i in range(values.size):
        levels[i] = np.uint8(np.int32(min(values[i] + added, np.float32(255.0))))
