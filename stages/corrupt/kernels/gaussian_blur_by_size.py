"""Gaussian blur whose strength is the size of its square, with mirrored edges."""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np
import pydantic
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import gaussian_filter, scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import (
    SMALLEST_SIDE,
    Image,
    Kernel,
    Parameters,
    Shape,
    one_by_one,
)


class Severity(Declared):
    """Parameters of one severity."""

    size: Annotated[int, Field(ge=3, lt=2 * SMALLEST_SIDE)]
    """Pixels, odd; side of the square over which values are averaged."""

    @pydantic.field_validator("size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            message = "size must be odd"
            raise ValueError(message)
        return value


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``size``: nothing is random."""
    return {"size": severity.size}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` smoothed over squares of ``size``, rounded to whole grey levels.

    Standard deviation, weights, edges (mirrored around the edge pixel) and rounding are those of
    torchvision's `gaussian_blur` given a size alone; the arithmetic is float32.
    """
    height, width, channels = image.shape
    size = int(parameters["size"])
    reach = size // 2
    sigma = 0.15 * size + 0.35
    rows, columns = _mirrored(height, reach), _mirrored(width, reach)
    padded, smoothed = scratch.floats((2, rows.size, columns.size * channels))
    blurred = np.empty_like(image)
    _pad(image, rows, columns, padded)
    gaussian_filter.smooth(padded, channels, (sigma, sigma), smoothed, truncate=reach / sigma)
    _round(smoothed, reach, blurred)
    return blurred


@functools.lru_cache(maxsize=256)
def _mirrored(side: int, reach: int) -> NDArray[np.int64]:
    """Return the pixels at -reach … side + reach - 1, mirrored around the edge pixel (b|a b)."""
    pixels = np.abs(np.arange(-reach, side + reach))
    pixels = np.array(np.minimum(pixels, 2 * side - 2 - pixels), np.int64)
    pixels.setflags(write=False)
    return pixels


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " float32[:, ::1])"
)
def _pad(
    image: Image, rows: NDArray[np.int64], columns: NDArray[np.int64], padded: NDArray[np.float32]
) -> None:
    channels = image.shape[2]
    for y in range(rows.size):
        for x in range(columns.size):
            for c in range(channels):
                padded[y, x * channels + c] = np.float32(image[rows[y], columns[x], c])


@compiled("void(Array(float32, 2, 'C', True), int64, uint8[:, :, ::1])")
def _round(smoothed: NDArray[np.float32], reach: int, blurred: Image) -> None:
    height, width, channels = blurred.shape
    half = np.float32(0.5)
    for y in range(height):
        values, out = smoothed[y + reach, reach * channels :], blurred[y].reshape(-1)
        for j in range(width * channels):
            out[j] = np.uint8(np.int32(min(values[j] + half, np.float32(255.0))))


KERNEL = Kernel(name="gaussian_blur_by_size", severity=Severity, draw=draw, apply=one_by_one(apply))
