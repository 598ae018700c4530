"""The relief of drops of water, as OpenCV computes its steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.edges import find_edges, measure_distances


@compiled("void(Array(uint8, 2, 'C', True), uint32[::1], int32[:, ::1])")
def shine_of(
    levels: NDArray[np.uint8], memory: NDArray[np.uint32], products: NDArray[np.int32]
) -> None:
    """Fill in how brightly drops of water shine, in any unit. For compiled callers.

    The level of the liquid times the relief of its edges: Canny's edges, the distances to them,
    their means over 3 x 3 pixels, equalised, embossed, and again means (`imagecorruptions`).

    Parameters
    ----------
    levels : (H, W) uint8
        0 where there is no liquid.
    memory : (3 * (H + 4) * (W + 4),) uint32
        Working memory, of which the last quarter of the last third stays as it is.
    products : (H, W) int32
        0 to 65025.
    """
    height, width = levels.shape
    size, cells = height * width, (height + 4) * (width + 4)
    pending = memory[:size].view(np.int32)
    distances = memory[cells : 2 * cells].view(np.float32).reshape(height + 4, width + 4)
    planes = memory[2 * cells : 3 * cells].view(np.uint8)
    marks = planes[: (height + 2) * (width + 2)].reshape(height + 2, width + 2)
    relief = planes[cells : cells + size].reshape(height, width)
    embossed = planes[2 * cells : 2 * cells + size].reshape(height, width)
    find_edges(levels, 50, 150, marks, np.empty((12, width + 2), np.int32), pending)
    measure_distances(marks, distances)
    _mean_distances(distances, relief)
    _equalise(relief.reshape(-1))
    _emboss(relief, embossed)
    _multiply_by_means(levels, embossed, products)


@compiled("void(float32[:, ::1], uint8[:, ::1])")
def _mean_distances(distances: NDArray[np.float32], means: NDArray[np.uint8]) -> None:
    # Means over 3 x 3 distances of at most 20 pixels, cut off (`cv2.blur`); the image is mirrored
    # at its edge pixels. Sums of nine float32 of this range are exact in float64.
    height, width = means.shape
    most = np.float32(20.0)
    column = np.empty(width + 2, np.float64)
    for y in range(height):
        above = distances[2 + (y - 1 if y > 0 else 1)]
        own = distances[2 + y]
        below = distances[2 + (y + 1 if y + 1 < height else height - 2)]
        for x in range(width):
            column[x + 1] = (
                np.float64(min(above[x + 2], most))
                + np.float64(min(own[x + 2], most))
                + np.float64(min(below[x + 2], most))
            )
        column[0], column[width + 1] = column[2], column[width - 1]
        for x in range(width):
            total = column[x] + column[x + 1] + column[x + 2]
            means[y, x] = np.uint8(np.int32(np.float32(total * (1.0 / 9.0))))


@compiled("void(uint8[::1])")
def _equalise(values: NDArray[np.uint8]) -> None:
    # `cv2.equalizeHist`: the lowest level becomes 0, the highest 255; one level alone stays.
    counts = np.zeros(256, np.int64)
    for i in range(values.size):
        counts[values[i]] += 1
    lowest = 0
    while counts[lowest] == 0:
        lowest += 1
    rest = values.size - counts[lowest]
    if rest == 0:
        return
    scale = np.float32(255.0) / np.float32(rest)
    table = np.zeros(256, np.uint8)
    reached = 0
    for level in range(lowest + 1, 256):
        reached += counts[level]
        table[level] = np.uint8(np.int32(np.rint(np.float32(reached) * scale)))
    for i in range(values.size):
        values[i] = table[values[i]]


@compiled("void(Array(uint8, 2, 'C', True), uint8[:, ::1])")
def _emboss(relief: NDArray[np.uint8], embossed: NDArray[np.uint8]) -> None:
    # The 3 x 3 weights -2 -1 0, -1 1 1, 0 1 2; the image is mirrored at its edge pixels.
    height, width = relief.shape
    for y in range(height):
        above = relief[y - 1 if y > 0 else 1]
        own = relief[y]
        below = relief[y + 1 if y + 1 < height else height - 2]
        for x in range(1, width - 1):
            falling = -2 * np.int16(above[x - 1]) - np.int16(above[x]) - np.int16(own[x - 1])
            rising = np.int16(own[x + 1]) + np.int16(below[x]) + 2 * np.int16(below[x + 1])
            value = np.int32(falling + rising + np.int16(own[x]))
            embossed[y, x] = np.uint8(min(max(value, np.int32(0)), np.int32(255)))
        for x in (0, width - 1):
            beside = 1 if x == 0 else width - 2
            falling = -2 * np.int16(above[beside]) - np.int16(above[x]) - np.int16(own[beside])
            rising = np.int16(own[beside]) + np.int16(below[x]) + 2 * np.int16(below[beside])
            value = np.int32(falling + rising + np.int16(own[x]))
            embossed[y, x] = np.uint8(min(max(value, np.int32(0)), np.int32(255)))


@compiled("void(Array(uint8, 2, 'C', True), Array(uint8, 2, 'C', True), int32[:, ::1])")
def _multiply_by_means(
    levels: NDArray[np.uint8], relief: NDArray[np.uint8], products: NDArray[np.int32]
) -> None:
    # Means over 3 x 3 pixels to the nearest level; the image is mirrored at its edge pixels.
    height, width = levels.shape
    column = np.empty(width + 2, np.int32)
    for y in range(height):
        above = relief[y - 1 if y > 0 else 1]
        own = relief[y]
        below = relief[y + 1 if y + 1 < height else height - 2]
        for x in range(width):
            column[x + 1] = np.int32(above[x]) + np.int32(own[x]) + np.int32(below[x])
        column[0], column[width + 1] = column[2], column[width - 1]
        for x in range(width):
            total = column[x] + column[x + 1] + column[x + 2]
            # (total + 4) / 9 cut off: the product with 2**16 / 9, rounded up, is near enough.
            mean = np.int32((total + np.int32(4)) * np.int32(7282)) >> np.int32(16)
            products[y, x] = np.int32(levels[y, x]) * np.int32(mean)
