"""Zoom blur: the mean of the image and of its enlargements.

A mask stays where it is: the image itself is the first of the zooms and has twice the weight of
any other, so content fades outwards and none of it leaves its place.
"""

from __future__ import annotations

import functools
import math
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import (
    ADDED,
    Images,
    Kernel,
    Parameters,
    Rounding,
    Shape,
    in_runs,
)

Indices: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = NDArray[np.float32]
Crop: TypeAlias = Literal["corner", "trimmed", "centred"]


class Severity(Declared):
    """Parameters of one severity: the enlargements are 1, 1 + step, 1 + 2 step and so on."""

    step: Annotated[float, Field(gt=0.0, le=0.5)]
    """Difference between one enlargement and the next."""

    count: Annotated[int, Field(ge=1, le=64)]
    """Number of enlargements, the first (1) included."""

    crop: Crop = "corner"
    """How an enlargement is cut to the size of the image: see `positions`."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity`: nothing is random."""
    return {
        "step": severity.step,
        "count": severity.count,
        "crop": severity.crop,
        "rounding": severity.rounding,
    }


def apply(images: Images, parameters: Parameters, blurred: Images) -> None:
    """Write (image + the sum of its bilinear enlargements) / (count + 1) for each image."""
    _, height, width, channels = images.shape
    enlargements = (float(parameters["step"]), int(parameters["count"]), parameters["crop"])
    rows, row_parts = positions(height, *enlargements)
    runs, run_counts = _runs(width, *enlargements)
    value_parts = _value_parts(width, *enlargements, channels)
    padded = scratch.floats((height + 2, (width + 2) * channels))
    added = ADDED[parameters["rounding"]]
    _mean_of_zooms(images, rows, row_parts, runs, run_counts, value_parts, added, padded, blurred)


@functools.lru_cache(maxsize=64)
def positions(side: int, step: float, count: int, crop: Crop) -> tuple[Indices, Weights]:
    """Return where each enlargement samples an axis of `side` pixels.

    Sample x of enlargement f lies at pixel ``first[f, x] + part[f, x]``, by `crop`:

    corner
        As in `imagecorruptions`: the central ``ceil(side / factor)`` pixels enlarged by
        `scipy.ndimage.zoom(order=1)`, of which the first `side` are taken. This moves the content
        by up to half a pixel.
    trimmed
        As in the ImageNet-C script: the same, of which the middle `side` are taken.
    centred
        (x - centre) / factor + centre: nothing moves.

    A position that rounding pushes past the last of the central pixels reads 0 in `scipy`, and so
    it does here: it is put at `side`, where the caller's padding begins.

    Returns
    -------
    first : (count, side) int64
    part : (count, side) float32
        In [0, 1).
    """
    first = np.empty((count, side), np.int64)
    part = np.empty((count, side), np.float32)
    for f in range(count):
        # numpy.arange(1, stop, step), which made the published factors, counts in this delta.
        factor = 1.0 + f * ((1.0 + step) - 1.0)
        top, cropped, at = _enlarged_and_cut(side, factor, crop)
        whole = np.floor(at)
        outside = at > cropped - 1
        first[f] = np.where(outside, side, whole.astype(np.int64) + top)
        part[f] = np.where(outside, 0.0, at - whole)
    first.setflags(write=False)
    part.setflags(write=False)
    return first, part


def enlarged(side: int, zoom: float) -> NDArray[np.float64]:
    """Return where `scipy.ndimage.zoom(order=1)` samples an axis of `side` pixels, in pixels.

    Rounding pushes some positions past the last pixel, which reads 0 in `scipy`.
    """
    zoomed = round(side * zoom)
    return np.arange(zoomed, dtype=np.float64) * ((side - 1) / (zoomed - 1))


def _enlarged_and_cut(side: int, factor: float, crop: Crop) -> tuple[int, int, NDArray[np.float64]]:
    """Return the first and the number of the central pixels, and positions among them."""
    if crop == "centred":
        centre = (side - 1) / 2
        return 0, side, (np.arange(side, dtype=np.float64) - centre) / factor + centre
    cropped = math.ceil(side / factor)
    at = enlarged(cropped, factor)
    trimmed = (at.size - side) // 2 if crop == "trimmed" else 0
    return (side - cropped) // 2, cropped, at[trimmed : trimmed + side]


@functools.lru_cache(maxsize=64)
def _value_parts(side: int, step: float, count: int, crop: Crop, channels: int) -> Weights:
    """Return the fractions of `positions` for each channel value of a row."""
    parts = np.repeat(positions(side, step, count, crop)[1], channels, axis=1)
    parts.setflags(write=False)
    return parts


@functools.lru_cache(maxsize=64)
def _runs(side: int, step: float, count: int, crop: Crop) -> tuple[Indices, Indices]:
    """Return the stretches of an axis over which sample and source advance together.

    Returns
    -------
    runs : (count, most, 3) int64
        First sample, first source pixel and length of each run.
    counts : (count,) int64
        Runs of each enlargement.
    """
    first, _ = positions(side, step, count, crop)
    starts = [np.flatnonzero(np.diff(row, prepend=-2) != 1) for row in first]
    runs = np.zeros((count, max(start.size for start in starts), 3), np.int64)
    for f, start in enumerate(starts):
        runs[f, : start.size, 0] = start
        runs[f, : start.size, 1] = first[f, start]
        runs[f, : start.size, 2] = np.diff(start, append=side)
    runs.setflags(write=False)
    return runs, np.array([start.size for start in starts], np.int64)


@compiled(
    "void(float32[:, ::1], Array(int64, 1, 'A', True), Array(float32, 1, 'A', True),"
    " Array(int64, 3, 'C', True), Array(int64, 1, 'C', True), Array(float32, 2, 'C', True),"
    " int64, float32[::1], float32[::1])"
)
def _add_enlarged(
    padded: NDArray[np.float32],
    rows: Indices,
    row_parts: Weights,
    runs: Indices,
    run_counts: Indices,
    value_parts: Weights,
    channels: int,
    between: NDArray[np.float32],
    total: NDArray[np.float32],
) -> None:
    """Add one row of every enlargement but the first, each from `between` two of the image's."""
    for f in range(1, rows.size):
        upper, lower, part = padded[rows[f]], padded[rows[f] + 1], row_parts[f]
        for j in range(between.size):
            between[j] = upper[j] + part * (lower[j] - upper[j])
        for r in range(run_counts[f]):
            start, source = runs[f, r, 0] * channels, runs[f, r, 1] * channels
            left, right = between[source:], between[source + channels :]
            parts, out = value_parts[f, start:], total[start:]
            for j in range(runs[f, r, 2] * channels):
                out[j] += left[j] + parts[j] * (right[j] - left[j])


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(int64, 2, 'C', True), Array(float32, 2, 'C', True),"
    " Array(int64, 3, 'C', True), Array(int64, 1, 'C', True), Array(float32, 2, 'C', True),"
    " float32, float32[:, ::1], uint8[:, :, :, ::1])"
)
def _mean_of_zooms(
    images: Images,
    rows: Indices,
    row_parts: Weights,
    runs: Indices,
    run_counts: Indices,
    value_parts: Weights,
    added: float,
    padded: NDArray[np.float32],
    blurred: Images,
) -> None:
    _, height, width, channels = images.shape
    size = width * channels
    # Two rows and columns of zeros follow the image (see `positions`).
    padded[height:] = np.float32(0.0)
    padded[:, size:] = np.float32(0.0)
    total = np.empty(size, np.float32)
    between = np.empty(size + 2 * channels, np.float32)
    divisor = np.float32(rows.shape[0] + 1)
    for n in range(images.shape[0]):
        for y in range(height):
            values = images[n, y].reshape(-1)
            row = padded[y]
            for j in range(size):
                row[j] = np.float32(values[j])
        for y in range(height):
            own = padded[y]
            for j in range(size):
                total[j] = own[j] + own[j]  # the image and its first enlargement, 1
            upper, parts = rows[:, y], row_parts[:, y]
            _add_enlarged(
                padded, upper, parts, runs, run_counts, value_parts, channels, between, total
            )
            values_out = blurred[n, y].reshape(-1)
            for j in range(size):
                values_out[j] = np.uint8(np.int32(total[j] / divisor + added))


KERNEL = Kernel(
    name="zoom_blur", severity=Severity, draw=draw, apply=in_runs(apply), moves_masks=False
)
