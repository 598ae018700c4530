"""Pixelate: shrink by box averaging, enlarge by repeating pixels."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Images, Kernel, Parameters, Shape, in_runs

_WEIGHT_BITS = 22
"""Fraction bits of the averaging weights, as in Pillow."""


class Severity(Declared):
    """Parameters of one severity."""

    scale: Annotated[float, Field(ge=0.04, le=1.0)]
    """Size of the shrunk image as a fraction of the original."""

    enlarging: Literal["nearest", "box"] = "nearest"
    """Pillow's filter for the way back: `imagecorruptions` has the nearest pixel, the ImageNet-C \
script the box, which shows another pixel where float rounding decides."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``scale`` and ``enlarging``: nothing is random."""
    return {"scale": severity.scale, "enlarging": severity.enlarging}


def apply(images: Images, parameters: Parameters, blocky: Images) -> None:
    """Write each image shrunk to ``int(side * scale)`` and enlarged again.

    The bytes are those of Pillow's ``resize``, except that
    Pillow 13 averages rows before columns in images much taller than wide, where intermediate
    rounding then differs by 1 grey level. Older versions and this kernel never do.
    """
    scale = float(parameters["scale"])
    _, height, width, _ = images.shape
    few_rows, few_columns = int(height * scale), int(width * scale)
    rows, columns = boxes(height, few_rows), boxes(width, few_columns)
    enlarging = str(parameters["enlarging"])
    to_rows, to_columns = shown(height, few_rows, enlarging), shown(width, few_columns, enlarging)
    _shrink_and_enlarge_all(images, rows, columns, to_rows, to_columns, blocky)


@functools.lru_cache(maxsize=64)
def boxes(side: int, small: int) -> NDArray[np.int64]:
    """Return what each of `small` pixels averages of an axis of `side` pixels.

    Returns
    -------
    averaged : (small, 3) int64, read-only
        First pixel, number of pixels, and the weight of each in units of 2**-22
        (Pillow, `Resample.c`: `precompute_coeffs` with the box filter).
    """
    scale = side / small
    averaged = np.empty((small, 3), np.int64)
    for k in range(small):
        centre = (k + 0.5) * scale
        near = range(
            max(0, int(centre - 0.5 * scale + 0.5)), min(side, int(centre + 0.5 * scale + 0.5))
        )
        inside = [x for x in near if -0.5 < (x - centre + 0.5) * (1.0 / scale) <= 0.5]
        averaged[k] = inside[0], len(inside), int(0.5 + 1.0 / len(inside) * (1 << _WEIGHT_BITS))
    averaged.setflags(write=False)
    return averaged


@functools.lru_cache(maxsize=64)
def shown(side: int, small: int, enlarging: str) -> NDArray[np.int64]:
    """Return which of `small` pixels each pixel of an axis of `side` shows; read-only.

    The position of "nearest" is a running sum, as in Pillow (`Geometry.c`: `ImagingScaleAffine`),
    so that ties fall the same way. A "box" of one pixel around ``(x + 1/2) small / side`` holds
    the centre of exactly one.
    """
    step = small / side
    position = 0.5 * step
    pixels = np.empty(side, np.int64)
    for x in range(side):
        pixels[x] = int(position if enlarging == "nearest" else (x + 0.5) * step)
        position += step
    pixels.setflags(write=False)
    return pixels


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(int64, 2, 'C', True), Array(int64, 2, 'C', True),"
    " Array(int64, 1, 'C', True), Array(int64, 1, 'C', True), uint8[:, :, ::1])"
)
def _shrink_and_enlarge(  # noqa: C901  # one loop nest: calls would cost more than the sums
    image: Image,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    to_rows: NDArray[np.int64],
    to_columns: NDArray[np.int64],
    blocky: Image,
) -> None:
    height, width, channels = image.shape
    half = np.int32(1 << 21)
    shift = np.int32(22)
    # Columns first, then rows, each rounded to whole grey levels: Pillow's order.
    size = columns.shape[0] * channels
    narrow = np.empty((height, size), np.uint8)
    starts, ends = np.empty(size, np.uint32), np.empty(size, np.uint32)
    weights, sums = np.empty(size, np.int32), np.empty(size, np.int32)
    for k in range(columns.shape[0]):
        for c in range(channels):
            starts[k * channels + c] = columns[k, 0] * channels + c
            ends[k * channels + c] = (columns[k, 0] + columns[k, 1]) * channels + c
            weights[k * channels + c] = columns[k, 2]
    # running[j] is the sum of the row's values at j - channels, j - 2 channels, …
    running = np.zeros((width + 1) * channels, np.int32)
    for y in range(height):
        row = image[y].reshape(-1)
        for j in range(row.size):
            running[j + channels] = running[j] + np.int32(row[j])
        for j in range(size):
            total = running[ends[j]] - running[starts[j]]
            narrow[y, j] = np.uint8((half + total * weights[j]) >> shift)
    shown = -1
    for y in range(height):
        if to_rows[y] == shown:
            blocky[y] = blocky[y - 1]
            continue
        shown = to_rows[y]
        first, count, weight = rows[shown, 0], rows[shown, 1], np.int32(rows[shown, 2])
        sums[:] = narrow[first]
        for s in range(first + 1, first + count):
            for j in range(sums.size):
                sums[j] += np.int32(narrow[s, j])
        for j in range(sums.size):
            sums[j] = (half + sums[j] * weight) >> shift
        for x in range(width):
            source = to_columns[x] * channels
            for c in range(channels):
                blocky[y, x, c] = np.uint8(sums[source + c])


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(int64, 2, 'C', True), Array(int64, 2, 'C', True),"
    " Array(int64, 1, 'C', True), Array(int64, 1, 'C', True), uint8[:, :, :, ::1])"
)
def _shrink_and_enlarge_all(
    images: Images,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    to_rows: NDArray[np.int64],
    to_columns: NDArray[np.int64],
    blocky: Images,
) -> None:
    for n in range(images.shape[0]):
        _shrink_and_enlarge(images[n], rows, columns, to_rows, to_columns, blocky[n])


KERNEL = Kernel(name="pixelate", severity=Severity, draw=draw, apply=in_runs(apply))
