"""Glass blur: pixels replaced by near ones between two light Gaussian blurs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import gaussian_filter
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.noise import draw_key, random_words


class Severity(Declared):
    """Parameters of one severity."""

    sigma: Annotated[float, Field(ge=0.01, le=10.0)]
    """Pixels; standard deviation of both blurs."""

    max_delta: Annotated[int, Field(ge=1, le=10)]
    """Pixels; a pixel takes the value of one up to this far up or left, one less down or right."""

    iterations: Annotated[int, Field(ge=1, le=10)]
    """Times that every pixel is visited."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity` and the ``noise_key`` of the moves."""
    return {
        "sigma": severity.sigma,
        "max_delta": severity.max_delta,
        "iterations": severity.iterations,
        "noise_key": draw_key(stream),
    }


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` with the moves of `parameters` between two blurs."""
    key, reach = int(parameters["noise_key"]), int(parameters["max_delta"])
    moves = draw_moves(key, int(parameters["iterations"]), image.shape, reach)
    return apply_moves(image, moves, reach, float(parameters["sigma"]))


def draw_moves(key: int, iterations: int, shape: Shape, reach: int) -> NDArray[np.int8]:
    """Return the moves of `apply_moves` for an image of `shape`: uniform in [-reach, reach)."""
    height, width, _ = shape
    moves = np.empty((iterations, height - 2 * reach, width - 2 * reach, 2), np.int8)
    _moves_of(random_words(key, moves.size // 2), reach, moves.reshape(-1, 2))
    return moves


def apply_moves(image: Image, moves: NDArray[np.int8], reach: int, sigma: float) -> Image:
    """Return `image` blurred, with its pixels moved, and blurred again; truncated both times.

    As in `imagecorruptions`: rows and columns are visited from the last to the first, and the
    margin that is never visited is one pixel wider above and left. It means to exchange two
    pixels, but does so through views of the same memory, so that the pixel visited becomes a copy
    of the other, which keeps its value. The blurs are in float64 in the order of `scipy.ndimage`,
    since the errors of two truncations would add up.

    Parameters
    ----------
    image : (H, W, C) uint8
    moves : (iterations, H - 2 reach, W - 2 reach, 2) int8
        (columns, rows) from a pixel to the one that it copies, in the order of the visits.
    reach : int
        Pixels.
    sigma : float
        Pixels; standard deviation of the blurs.
    """
    height, width, channels = image.shape
    weights = gaussian_filter.half_weights(sigma)
    rows = gaussian_filter.nearest(height, weights.size - 1)
    columns = gaussian_filter.nearest(width, weights.size - 1)
    smoothed = np.empty((height, width * channels))
    moved, second = np.empty_like(image), np.empty_like(image)
    _blur(image.reshape(height, -1) / 255.0, rows, columns, channels, weights, smoothed)
    _truncate(smoothed.reshape(-1), moved.reshape(-1))
    _move(moved, moves, reach)
    _blur(moved.reshape(height, -1) / 255.0, rows, columns, channels, weights, smoothed)
    _truncate(smoothed.reshape(-1), second.reshape(-1))
    return second


@compiled("void(Array(uint32, 1, 'C', True), int64, int8[:, ::1])")
def _moves_of(words: NDArray[np.uint32], reach: int, moves: NDArray[np.int8]) -> None:
    # 16 bits for each direction: no move is more than 2**-16 likelier than another.
    span = np.uint32(2 * reach)
    for i in range(words.size):
        column = ((words[i] & np.uint32(0xFFFF)) * span) >> np.uint32(16)
        row = ((words[i] >> np.uint32(16)) * span) >> np.uint32(16)
        moves[i, 0] = np.int8(np.int64(column) - reach)
        moves[i, 1] = np.int8(np.int64(row) - reach)


@compiled("void(uint8[:, :, ::1], Array(int8, 4, 'C', True), int64)")
def _move(image: Image, moves: NDArray[np.int8], reach: int) -> None:
    height, width, channels = image.shape
    for n in range(moves.shape[0]):
        for i in range(moves.shape[1]):
            y = height - reach - i
            for j in range(moves.shape[2]):
                x = width - reach - j
                column, row = x + moves[n, i, j, 0], y + moves[n, i, j, 1]
                for c in range(channels):
                    image[y, x, c] = image[row, column, c]


@compiled(
    "void(Array(float64, 2, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " int64, Array(float64, 1, 'C', True), float64[:, ::1])"
)
def _blur(
    clean: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    channels: int,
    weights: NDArray[np.float64],
    smoothed: NDArray[np.float64],
) -> None:
    height, size = clean.shape
    reach = weights.size - 1
    margin = reach * channels
    line = np.empty(size + 2 * margin, np.float64)
    inner = line[margin:]
    for y in range(height):
        own = clean[y]
        for j in range(size):
            inner[j] = own[j] * weights[0]
        for k in range(reach, 0, -1):
            above, below = clean[rows[y + reach - k]], clean[rows[y + reach + k]]
            weight = weights[k]
            for j in range(size):
                inner[j] = inner[j] + (above[j] + below[j]) * weight
        for i in range(2 * reach):  # left of the row, then right of it
            at = i + i // reach * (size // channels)
            for c in range(channels):
                line[at * channels + c] = inner[columns[at] * channels + c]
        total = smoothed[y]
        for j in range(size):
            total[j] = inner[j] * weights[0]
        for k in range(reach, 0, -1):
            left, right = line[margin - k * channels :], line[margin + k * channels :]
            weight = weights[k]
            for j in range(size):
                total[j] = total[j] + (left[j] + right[j]) * weight


@compiled("void(Array(float64, 1, 'C', True), uint8[::1])")
def _truncate(values: NDArray[np.float64], levels: Image) -> None:
    for i in range(values.size):
        levels[i] = np.uint8(np.int32(min(max(values[i], 0.0), 1.0) * 255.0))


KERNEL = Kernel(name="glass_blur", severity=Severity, draw=draw, apply=one_by_one(apply))
