"""Motion blur: a weighted sum of copies shifted along a line, with replicated edges."""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import exact_math, scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape

_LARGEST_ANGLE = 45.0
_UNROLL = 4
"""Copies added per pass over a row."""


class Severity(Declared):
    """Parameters of one severity."""

    radius: Annotated[int, Field(ge=1, le=100)]
    """Pixels; the path has 2 radius + 1 copies."""

    sigma: Annotated[float, Field(ge=0.1, le=200.0)]
    """Pixels; standard deviation of the half Gaussian of weights along the path."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float]:
    """Return ``radius``, ``sigma`` and an ``angle`` in degrees, uniform in [-45, 45)."""
    turn = float(stream.child("angle").uniform(1)[0])
    angle = -_LARGEST_ANGLE + 2.0 * _LARGEST_ANGLE * turn
    return {"radius": severity.radius, "sigma": severity.sigma, "angle": angle}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` blurred along the ``angle`` of `parameters`.

    As in `imagecorruptions`: the path stops at the first shift that leaves the image and the
    weights are not renormalised then (small images darken), and the sum is truncated.
    """
    height, width, channels = image.shape
    radius, angle = int(parameters["radius"]), float(parameters["angle"])
    rows, columns = path(2 * radius + 1, angle)
    outside = np.flatnonzero((np.abs(rows) >= height) | (np.abs(columns) >= width))
    length = int(outside[0]) if outside.size else rows.size
    # The list of copies is filled up with copies of weight 0, which add exactly nothing.
    copies = np.zeros((2, -(-length // _UNROLL) * _UNROLL), np.int64)
    weights = np.zeros(copies.shape[1], np.float32)
    copies[:, :length] = rows[:length], columns[:length]
    weights[:length] = path_weights(2 * radius + 1, float(parameters["sigma"]))[:length]
    margins = np.maximum(0, (copies.max(axis=1), -copies.min(axis=1)))
    rows_around, columns_around = (int(margin) for margin in margins.sum(axis=0))
    padded = scratch.floats((height + rows_around, (width + columns_around) * channels))
    blurred = np.empty_like(image)
    _sum_copies(image, copies, weights, margins[0], padded, blurred)
    return blurred


def path(length: int, angle: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the shifts (rows, columns) in pixels of the `length` copies along `angle` degrees.

    Copy i is shifted by -ceil(i sin(angle) - 1/2) rows and -ceil(i cos(angle) - 1/2) columns
    (`imagecorruptions`, `_motion_blur`).
    """
    sine, cosine = exact_math.sin_cos_degrees(angle)
    steps = np.arange(length, dtype=np.float64)
    rows = -np.ceil(steps * sine - 0.5)
    columns = -np.ceil(steps * cosine - 0.5)
    return rows.astype(np.int64), columns.astype(np.int64)


@functools.lru_cache(maxsize=64)
def path_weights(length: int, sigma: float) -> NDArray[np.float32]:
    """Return the `length` weights exp(-i**2 / (2 sigma**2)), divided by their sum; read-only."""
    bell = [exact_math.exp(-(i * i) / (2.0 * (sigma * sigma))) for i in range(length)]
    total = 0.0
    for value in bell:
        total += value
    weights = np.array([value / total for value in bell], np.float32)
    weights.setflags(write=False)
    return weights


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(int64, 2, 'C', True), Array(float32, 1, 'C', True),"
    " Array(int64, 1, 'C', True), float32[:, ::1], uint8[:, :, ::1])"
)
def _sum_copies(
    image: Image,
    copies: NDArray[np.int64],
    weights: NDArray[np.float32],
    margins: NDArray[np.int64],
    padded: NDArray[np.float32],
    blurred: Image,
) -> None:
    height, width, channels = image.shape
    up, left = margins
    for y in range(padded.shape[0]):
        source = image[min(max(y - up, 0), height - 1)]
        row = padded[y]
        for x in range(padded.shape[1] // channels):
            column = min(max(x - left, 0), width - 1)
            for c in range(channels):
                row[x * channels + c] = np.float32(source[column, c])
    size = width * channels
    total = np.empty(size, np.float32)
    for y in range(height):
        total[:] = np.float32(0.0)
        for k in range(0, weights.size, 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            s0 = padded[y + up - copies[0, k]][(left - copies[1, k]) * channels :]
            s1 = padded[y + up - copies[0, k + 1]][(left - copies[1, k + 1]) * channels :]
            s2 = padded[y + up - copies[0, k + 2]][(left - copies[1, k + 2]) * channels :]
            s3 = padded[y + up - copies[0, k + 3]][(left - copies[1, k + 3]) * channels :]
            for j in range(size):
                total[j] = total[j] + w0 * s0[j] + w1 * s1[j] + w2 * s2[j] + w3 * s3[j]
        out = blurred[y].reshape(-1)
        for j in range(size):
            value = min(max(total[j], np.float32(0.0)), np.float32(255.0))
            out[j] = np.uint8(np.int32(value))


KERNEL = Kernel(name="motion_blur", severity=Severity, draw=draw, apply=apply)
