"""Glass blur: pixels replaced by near ones between two light Gaussian blurs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.gaussian_filter64 import half_filter, smooth_in_float64
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
    moved = _blurred(image, sigma)
    _move(moved, moves, reach)
    return _blurred(moved, sigma)


def _blurred(image: Image, sigma: float) -> Image:
    height, width, channels = image.shape
    weights, rows, columns = half_filter(sigma, height, width)
    blurred = np.empty_like(image)
    memory = scratch.words(4 * image.size).view(np.float64)
    plain, smooth = memory.reshape(2, height, width * channels)
    np.divide(image.reshape(plain.shape), 255.0, out=plain, dtype=np.float64)
    smooth_in_float64(plain, rows, columns, channels, weights, False, smooth)
    _truncate(smooth.reshape(-1), blurred.reshape(-1))
    return blurred


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
    rows = moves.shape[1]
    for line in range(moves.shape[0] * rows):
        n, i = line // rows, line % rows
        y = height - reach - i
        for j in range(moves.shape[2]):
            x = width - reach - j
            column, row = x + moves[n, i, j, 0], y + moves[n, i, j, 1]
            for c in range(channels):
                image[y, x, c] = image[row, column, c]


@compiled("void(Array(float64, 1, 'C', True), uint8[::1])")
def _truncate(values: NDArray[np.float64], levels: Image) -> None:
    for i in range(values.size):
        levels[i] = np.uint8(np.int32(min(max(values[i], 0.0), 1.0) * 255.0))


KERNEL = Kernel(name="glass_blur", severity=Severity, draw=draw, apply=one_by_one(apply))
