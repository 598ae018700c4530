"""Defocus blur: the mean over a disk whose edge is slightly smoothed."""

from __future__ import annotations

import functools
from typing import Annotated, TypeAlias

import numpy as np
import pydantic
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import exact_math, scratch
from stages.corrupt.kernels.borders import mirrored
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one

Indices: TypeAlias = NDArray[np.int64]

_SMALL = 8
"""Pixels; disks up to this radius lie in a square of 17 pixels and are smoothed over 3."""

_UNROLL = 4
"""Column sums added per pass over a row."""


class Severity(Declared):
    """Parameters of one severity."""

    radius: Annotated[float, Field(gt=0.0, le=20.0)]
    """Pixels; above 8 a whole number."""

    alias_sigma: Annotated[float, Field(gt=0.0, le=5.0)]
    """Pixels; standard deviation of the smoothing of the disk's edge."""

    @pydantic.field_validator("radius")
    @classmethod
    def _whole_if_large(cls, value: float) -> float:
        if value > _SMALL and not value.is_integer():
            message = f"a radius above {_SMALL} must be a whole number"
            raise ValueError(message)
        return value


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``radius`` and ``alias_sigma``: nothing is random."""
    return {"radius": severity.radius, "alias_sigma": severity.alias_sigma}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` averaged over the disk, truncated; edges mirror around the edge pixel."""
    height, width, channels = image.shape
    heights, weights, passes = column_sums(
        float(parameters["radius"]), float(parameters["alias_sigma"])
    )
    reach = int(heights.max())
    rows, columns = mirrored(height, reach + 1), mirrored(width, passes.size - 2)
    # The image with mirrored columns, then one row of sums for each height.
    memory = scratch.floats((height + reach + 1, columns.size * channels))
    padded, sums = memory[:height], memory[height:]
    blurred = np.empty_like(image)
    _pad(image, columns, padded)
    _sum_above(padded, rows, sums)
    _mean_over_disk(padded, rows, heights, weights, passes, sums, blurred)
    return blurred


@functools.lru_cache(maxsize=64)
def disk(radius: float, alias_sigma: float) -> NDArray[np.float64]:
    """Return the weights of the disk (`imagecorruptions`, `disk`), a square of odd side.

    A flat disk of sum 1 is smoothed by a Gaussian of 3 or 5 pixels that mirrors at the border of
    the square (OpenCV's default), so that a disk which fills its square loses or gains some weight.
    """
    half, reach = (_SMALL, 1) if radius <= _SMALL else (int(radius), 2)
    steps = np.arange(-half, half + 1)
    inside = steps[:, np.newaxis] ** 2 + steps**2 <= radius * radius
    flat = inside / float(np.count_nonzero(inside))
    bell = [_bell(x, alias_sigma) for x in range(reach + 1)]
    total = bell[0] + 2.0 * sum(bell[1:])
    for _ in range(2):
        padded = np.pad(flat, ((reach, reach), (0, 0)), mode="reflect")
        smoothed = bell[0] / total * flat
        for x in range(1, reach + 1):
            before = padded[reach - x : reach - x + flat.shape[0]]
            after = padded[reach + x : reach + x + flat.shape[0]]
            smoothed = smoothed + bell[x] / total * (before + after)
        flat = smoothed.T
    return flat


def _bell(x: int, sigma: float) -> float:
    exponent = -(x * x) / (2.0 * sigma * sigma)
    return exact_math.exp(exponent) if exponent > -700.0 else 0.0


@functools.lru_cache(maxsize=64)
def column_sums(radius: float, alias_sigma: float) -> tuple[Indices, NDArray[np.float32], Indices]:
    """Return the disk as weighted sums of centred runs of each column.

    Column x of a symmetric kernel k is the sum over h of k[h, x] - k[h + 1, x] times a run of ones
    from -h to h (half of it at x = 0, which is both x and -x). Nearly all of these weights are 0,
    since a disk is flat inside.

    Returns
    -------
    heights : (terms,) int64
        h of each term.
    weights : (terms,) float32
    passes : (columns + 1,) int64
        The terms of columns x and -x are those from ``passes[x]`` to before ``passes[x + 1]``.
        Their number is a multiple of `_UNROLL`; weights of 0 fill it up.
    """
    kernel = disk(radius, alias_sigma)
    half = kernel.shape[0] // 2
    steps = -np.diff(kernel[half:, half:], axis=0, append=0.0)
    used = np.abs(steps) > 1e-8  # less than 1e-4 grey levels
    last = int(np.flatnonzero(used.any(axis=0))[-1])
    heights: list[int] = []
    weights: list[float] = []
    passes = [0]
    for x in range(last + 1):
        terms = np.flatnonzero(used[:, x])
        share = 0.5 if x == 0 else 1.0
        filling = -terms.size % _UNROLL
        heights += [*terms.tolist(), *[0] * filling]
        weights += [*(share * steps[terms, x]).tolist(), *[0.0] * filling]
        passes.append(len(heights))
    return np.array(heights, np.int64), np.array(weights, np.float32), np.array(passes, np.int64)


@compiled("void(Array(uint8, 3, 'C', True), Array(int64, 1, 'C', True), float32[:, ::1])")
def _pad(image: Image, columns: Indices, padded: NDArray[np.float32]) -> None:
    height, _, channels = image.shape
    for y in range(height):
        for x in range(columns.size):
            for c in range(channels):
                padded[y, x * channels + c] = np.float32(image[y, columns[x], c])


@compiled("void(Array(float32, 2, 'C', True), Array(int64, 1, 'C', True), float32[:, ::1])")
def _sum_above(padded: NDArray[np.float32], rows: Indices, sums: NDArray[np.float32]) -> None:
    """Write to ``sums[h]`` the sum of the rows from -1 - h to -1 + h."""
    reach = sums.shape[0] - 1
    sums[:] = np.float32(0.0)
    for h in range(reach + 1):
        row = sums[h]
        for k in range(reach - h, reach + h + 1):
            source = padded[rows[k]]
            for j in range(row.size):
                row[j] += source[j]


@compiled(
    "void(Array(float32, 2, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " Array(float32, 1, 'C', True), Array(int64, 1, 'C', True), float32[:, ::1], uint8[:, :, ::1])"
)
def _mean_over_disk(
    padded: NDArray[np.float32],
    rows: Indices,
    heights: Indices,
    weights: NDArray[np.float32],
    passes: Indices,
    sums: NDArray[np.float32],
    blurred: Image,
) -> None:
    reach = sums.shape[0] - 1
    line = np.empty(sums.shape[1], np.float32)
    total = np.empty(blurred.shape[1] * blurred.shape[2], np.float32)
    for y in range(blurred.shape[0]):
        # sums[h] becomes the sum of rows y - h to y + h: whole numbers, exact in float32.
        for h in range(reach + 1):
            row = sums[h]
            leaves, enters = padded[rows[y + reach - h]], padded[rows[y + reach + 1 + h]]
            for j in range(row.size):
                row[j] += enters[j] - leaves[j]
        _mean_of_sums(sums, heights, weights, passes, line, total, blurred[y])


@compiled(
    "void(float32[:, ::1], Array(int64, 1, 'C', True), Array(float32, 1, 'C', True),"
    " Array(int64, 1, 'C', True), float32[::1], float32[::1], uint8[:, ::1])"
)
def _mean_of_sums(
    sums: NDArray[np.float32],
    heights: Indices,
    weights: NDArray[np.float32],
    passes: Indices,
    line: NDArray[np.float32],
    total: NDArray[np.float32],
    blurred: Image,
) -> None:
    channels = blurred.shape[1]
    margin = (passes.size - 2) * channels
    # Rounding errors (below 2**-10) must not carry a flat area below its own level.
    total[:] = np.float32(2.0**-9)
    for x in range(passes.size - 1):
        line[:] = np.float32(0.0)
        for k in range(passes[x], passes[x + 1], 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            s0, s1 = sums[heights[k]], sums[heights[k + 1]]
            s2, s3 = sums[heights[k + 2]], sums[heights[k + 3]]
            for j in range(line.size):
                line[j] = line[j] + w0 * s0[j] + w1 * s1[j] + w2 * s2[j] + w3 * s3[j]
        left, right = line[margin - x * channels :], line[margin + x * channels :]
        for j in range(total.size):
            total[j] += left[j] + right[j]
    out = blurred.reshape(-1)
    for j in range(total.size):
        out[j] = np.uint8(np.int32(min(max(total[j], np.float32(0.0)), np.float32(255.0))))


KERNEL = Kernel(name="defocus_blur", severity=Severity, draw=draw, apply=one_by_one(apply))
