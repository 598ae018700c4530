"""Canny edges and distances to them, as OpenCV finds them: for compiled callers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.compiling import compiled

FAR = 2.0**30
"""Pixels; more than any distance within an image."""

_WEAK, _NONE, _EDGE = 0, 1, 2


@compiled(
    "void(Array(uint8, 2, 'C', True), int64, int64, uint8[:, ::1], int32[:, ::1], int32[::1])"
)
def find_edges(
    levels: NDArray[np.uint8],
    low: int,
    high: int,
    marks: NDArray[np.uint8],
    lines: NDArray[np.int32],
    pending: NDArray[np.int32],
) -> None:
    """Mark the edges of Canny's detector (`cv2.Canny`, 3 x 3 Sobel, abs(dx) + abs(dy)).

    Parameters
    ----------
    levels : (H, W) uint8
        Its edge pixels go on beyond its edges.
    low, high : int
        An edge is a ridge of the gradient above `low` that touches one above `high`.
    marks : (H + 2, W + 2) uint8
        Becomes 2 at the edges, shifted by one row and one column.
    lines : (12, W + 2) int32
        Working memory.
    pending : (H * W,) int32
        Working memory.
    """
    height = levels.shape[0]
    marks[:] = np.uint8(_NONE)
    lines[:] = np.int32(0)
    found = 0
    for y in range(height + 1):
        # Three rows of levels, dx, dy and sums take turns; beyond the image a sum is 0.
        at = y % 3
        if y < height:
            if y == 0:
                _widen(levels[0], lines[2])
                _widen(levels[0], lines[0])
            _widen(levels[min(y + 1, height - 1)], lines[(y + 1) % 3])
            _gradients(
                lines[(y + 2) % 3], lines[at], lines[(y + 1) % 3],
                lines[3 + at], lines[6 + at], lines[9 + at],
            )  # fmt: skip
        else:
            lines[9 + at] = np.int32(0)
        if y == 0:
            continue
        middle = (y + 2) % 3
        above, below = lines[9 + (y + 1) % 3], lines[9 + at]
        found = _ridges(
            lines[3 + middle], lines[6 + middle], above, lines[9 + middle], below,
            low, high, y, marks[y], pending, found,
        )  # fmt: skip
    _follow(marks, pending, found)


@compiled("void(Array(uint8, 1, 'C', True), int32[::1])")
def _widen(levels: NDArray[np.uint8], line: NDArray[np.int32]) -> None:
    for x in range(levels.size):
        line[x + 1] = np.int32(levels[x])
    line[0], line[levels.size + 1] = line[1], line[levels.size]


@compiled(
    "void(Array(int32, 1, 'C', True), Array(int32, 1, 'C', True), Array(int32, 1, 'C', True),"
    " int32[::1], int32[::1], int32[::1])"
)
def _gradients(
    above: NDArray[np.int32],
    own: NDArray[np.int32],
    below: NDArray[np.int32],
    across: NDArray[np.int32],
    down: NDArray[np.int32],
    sums: NDArray[np.int32],
) -> None:
    # Sobel's weights; the first and the last of the W + 2 sums stay 0.
    for x in range(1, own.size - 1):
        level, upright = own[x + 1] - own[x - 1], below[x] - above[x]
        falling, rising = below[x + 1] - above[x - 1], below[x - 1] - above[x + 1]
        dx = falling - rising + level + level
        dy = falling + rising + upright + upright
        across[x], down[x] = dx, dy
        sums[x] = abs(dx) + abs(dy)


@compiled(
    "int64(Array(int32, 1, 'C', True), Array(int32, 1, 'C', True), Array(int32, 1, 'C', True),"
    " Array(int32, 1, 'C', True), Array(int32, 1, 'C', True), int64, int64, int64, uint8[::1],"
    " int32[::1], int64)"
)
def _ridges(
    across: NDArray[np.int32],
    down: NDArray[np.int32],
    above: NDArray[np.int32],
    own: NDArray[np.int32],
    below: NDArray[np.int32],
    low: int,
    high: int,
    y: int,
    marks: NDArray[np.uint8],
    pending: NDArray[np.int32],
    found: int,
) -> int:
    # A ridge is larger than its neighbours along the gradient, which is upright, level or diagonal
    # by the tangent of 22.5 degrees in units of 2**-15 (13573) and that of 67.5, larger by 2.
    for x in range(1, own.size - 1):
        strength = own[x]
        if strength <= low:
            continue
        dx, dy = np.int64(across[x]), np.int64(down[x])
        rise, run = abs(dy) << 15, abs(dx) * 13573
        if rise < run:
            ridge = strength > own[x - 1] and strength >= own[x + 1]
        elif rise > run + (abs(dx) << 16):
            ridge = strength > above[x] and strength >= below[x]
        else:
            side = -1 if (dx ^ dy) < 0 else 1
            ridge = strength > above[x - side] and strength > below[x + side]
        if not ridge:
            continue
        if strength > high:
            marks[x] = np.uint8(_EDGE)
            pending[found] = np.int32(y * own.size + x)
            found += 1
        else:
            marks[x] = np.uint8(_WEAK)
    return found


@compiled("void(uint8[:, ::1], int32[::1], int64)")
def _follow(marks: NDArray[np.uint8], pending: NDArray[np.int32], found: int) -> None:
    width = marks.shape[1]
    every = marks.reshape(-1)
    while found > 0:
        found -= 1
        at = np.int64(pending[found])
        for step in range(9):
            near = at + (step // 3 - 1) * width + step % 3 - 1
            if every[near] == _WEAK:
                every[near] = np.uint8(_EDGE)
                pending[found] = np.int32(near)
                found += 1


@compiled("void(Array(uint8, 2, 'C', True), float32[:, ::1])")
def measure_distances(marks: NDArray[np.uint8], distances: NDArray[np.float32]) -> None:
    """Fill in the distances to the nearest edge (`cv2.distanceTransform`, DIST_L2, 5 x 5).

    Steps to the neighbours count 1, 1.4 and 2.1969 pixels (Borgefors 1986). They are added up in
    float32, as Intel's library does that OpenCV calls on x86; its own code counts in units of
    2**-16, which is up to 1e-4 off below 20 pixels.

    Parameters
    ----------
    marks : (H + 2, W + 2) uint8
        Those of `find_edges`.
    distances : (H + 4, W + 4) float32
        Becomes the distances in pixels, shifted by two rows and two columns, and `FAR` where
        there is no edge at all.
    """
    height, width = distances.shape[0] - 4, distances.shape[1] - 4
    far, step = np.float32(FAR), np.float32(1.0)
    distances[:] = far
    best = np.empty(width, np.float32)
    for y in range(height):
        own, mark = distances[y + 2], marks[y + 1]
        _nearest_from(distances[y], distances[y + 1], best)
        for x in range(width):
            best[x] = np.float32(0.0) if mark[x + 1] == _EDGE else best[x]
        before = far
        for x in range(width):
            before = min(best[x], before + step)
            own[x + 2] = before
    for y in range(height - 1, -1, -1):
        own = distances[y + 2]
        _nearest_from(distances[y + 4], distances[y + 3], best)
        for x in range(width):
            best[x] = min(best[x], own[x + 2])
        before = far
        for x in range(width - 1, -1, -1):
            before = min(best[x], before + step)
            own[x + 2] = before


@compiled("void(Array(float32, 1, 'C', True), Array(float32, 1, 'C', True), float32[::1])")
def _nearest_from(
    second: NDArray[np.float32], first: NDArray[np.float32], best: NDArray[np.float32]
) -> None:
    straight, diagonal, knight = np.float32(1.0), np.float32(1.4), np.float32(2.1969)
    for x in range(best.size):
        by_knight = min(second[x + 1], second[x + 3], first[x], first[x + 4])
        by_diagonal = min(first[x + 1], first[x + 3])
        value = min(by_knight + knight, by_diagonal + diagonal)
        best[x] = min(value, first[x + 2] + straight)
