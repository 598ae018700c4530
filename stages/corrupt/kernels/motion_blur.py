"""Motion blur: a weighted sum of copies shifted along a line, with replicated edges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import exact_math, scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import ADDED, Image, Images, Kernel, Parameters, Rounding, Shape

_LARGEST_ANGLE = 45.0
_UNROLL = 4
"""Copies added per pass over a row."""


class Severity(Declared):
    """Parameters of one severity."""

    radius: Annotated[int, Field(ge=1, le=100)]
    """Pixels; the path has 2 radius + 1 copies."""

    sigma: Annotated[float, Field(ge=0.1, le=200.0)]
    """Pixels; standard deviation of the half Gaussian of weights along the path."""

    end: Literal["at edge", "full length"] = "at edge"
    """As in `imagecorruptions` the path stops at the first shift that leaves the image, which \
darkens small images since the weights stay as they are; or, as in ImageMagick, it has its full \
length over replicated edges."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity` and an ``angle`` in degrees, uniform in [-45, 45)."""
    turn = float(stream.child("angle").uniform(1)[0])
    return {
        "radius": severity.radius,
        "sigma": severity.sigma,
        "end": severity.end,
        "rounding": severity.rounding,
        "angle": -_LARGEST_ANGLE + 2.0 * _LARGEST_ANGLE * turn,
    }


def apply(images: Images, parameters: Sequence[Parameters], blurred: Images) -> None:
    """Write each image blurred along its ``angle``."""
    _, height, width, channels = images.shape
    lengths = [2 * int(entry["radius"]) + 1 for entry in parameters]
    turns = np.empty((len(images), 2))
    # The list of copies is filled up with copies of weight 0, which add exactly nothing.
    weights = np.zeros((len(images), -(-max(lengths) // _UNROLL) * _UNROLL), np.float32)
    for row, (entry, length) in enumerate(zip(parameters, lengths, strict=True)):
        turns[row] = exact_math.sin_cos_degrees(float(entry["angle"]))
        weights[row, :length] = path_weights(length, float(entry["sigma"]))
    _blur_all(
        images,
        turns,
        weights,
        np.array([entry["end"] == "at edge" for entry in parameters]),
        np.array([ADDED[entry["rounding"]] for entry in parameters], np.float32),
        scratch.floats(((height + max(lengths)) * (width + max(lengths)) * channels,)),
        blurred,
    )


@compiled("void(float64, float64, int64[:, ::1])")
def fill_path(sine: float, cosine: float, copies: NDArray[np.int64]) -> None:
    """Fill `copies`, of shape (2, length), with the shifts (rows, columns) in pixels of a path.

    Copy i is shifted by -ceil(i sin(angle) - 1/2) rows and -ceil(i cos(angle) - 1/2) columns
    (`imagecorruptions`, `_motion_blur`).
    """
    for i in range(copies.shape[1]):
        copies[0, i] = -np.int64(np.ceil(i * sine - 0.5))
        copies[1, i] = -np.int64(np.ceil(i * cosine - 0.5))


@functools.lru_cache(maxsize=64)
def path_weights(length: int, sigma: float) -> NDArray[np.float64]:
    """Return the `length` weights exp(-i**2 / (2 sigma**2)), divided by their sum; read-only."""
    bell = [exact_math.exp(-(i * i) / (2.0 * (sigma * sigma))) for i in range(length)]
    total = 0.0
    for value in bell:
        total += value
    weights = np.array([value / total for value in bell])
    weights.setflags(write=False)
    return weights


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(float64, 2, 'C', True), Array(float32, 2, 'C', True),"
    " Array(boolean, 1, 'C', True), Array(float32, 1, 'C', True), float32[::1],"
    " uint8[:, :, :, ::1])"
)
def _blur_all(
    images: Images,
    turns: NDArray[np.float64],
    weights: NDArray[np.float32],
    stops: NDArray[np.bool_],
    added: NDArray[np.float32],
    memory: NDArray[np.float32],
    blurred: Images,
) -> None:
    _, height, width, channels = images.shape
    copies = np.empty((2, weights.shape[1]), np.int64)
    kept = np.empty(weights.shape[1], np.float32)
    for n in range(images.shape[0]):
        fill_path(turns[n, 0], turns[n, 1], copies)
        kept[:] = weights[n]
        for k in range(kept.size):
            outside = abs(copies[0, k]) >= height or abs(copies[1, k]) >= width
            if kept[k] == 0 or (stops[n] and outside):
                copies[:, k:] = 0
                kept[k:] = 0
                break
        up, down = max(0, copies[0].max()), max(0, -copies[0].min())
        left, right = max(0, copies[1].max()), max(0, -copies[1].min())
        shape = (height + up + down, (width + left + right) * channels)
        padded = memory[: shape[0] * shape[1]].reshape(shape)
        _replicate_edges(images[n], up, left, padded)
        _sum_copies(padded, copies, kept, up, left, added[n], blurred[n])


@compiled("void(Array(uint8, 3, 'C', True), int64, int64, float32[:, ::1])")
def _replicate_edges(image: Image, up: int, left: int, padded: NDArray[np.float32]) -> None:
    height, width, channels = image.shape
    for y in range(padded.shape[0]):
        source = image[min(max(y - up, 0), height - 1)]
        row = padded[y]
        for x in range(padded.shape[1] // channels):
            column = min(max(x - left, 0), width - 1)
            for c in range(channels):
                row[x * channels + c] = np.float32(source[column, c])


@compiled(
    "void(Array(float32, 2, 'C', True), Array(int64, 2, 'C', True), Array(float32, 1, 'C', True),"
    " int64, int64, float32, uint8[:, :, ::1])"
)
def _sum_copies(
    padded: NDArray[np.float32],
    copies: NDArray[np.int64],
    weights: NDArray[np.float32],
    up: int,
    left: int,
    added: float,
    blurred: Image,
) -> None:
    height, width, channels = blurred.shape
    size = width * channels
    total = np.empty(size, np.float32)
    for y in range(height):
        total[:] = np.float32(0.0)
        for k in range(0, weights.size, 4):
            if weights[k] == 0:
                break
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
            out[j] = np.uint8(np.int32(value + added))


KERNEL = Kernel(name="motion_blur", severity=Severity, draw=draw, apply=apply)
