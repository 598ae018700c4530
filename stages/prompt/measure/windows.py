"""Neighbours of which one lies in a region and the other does not: edges, holes, perimeter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.prompt.measure.runs import Ints, Numbered

ONE, SIDE, CORNER, THREE = range(4)
"""Kinds of 2 x 2 windows that hold some but not all pixels of a region: one of them, two side by
side, two across a corner, three."""
_KINDS = np.array([4, 0, 0, 1, 0, 1, 2, 3, 0, 2, 1, 3, 1, 3, 3, 4])
"""Kind by window, of whose bits 1, 2, 4, 8 stand for the pixels in raster order; 4: none."""


STEP_SHARE = 0.05
"""Distance over the equivalent diameter at which pairs of pixels are compared for the perimeter."""


def count_windows(numbered: Numbered, count: int) -> Ints:
    """Return how many 2 x 2 windows of each kind each of `count` regions has, (count, 4)."""
    labels = numbered.labels
    width = labels.shape[1]
    mixed = labels[:-1, :-1] != labels[1:, 1:]
    mixed |= labels[:-1, 1:] != labels[1:, :-1]
    mixed |= labels[:-1, :-1] != labels[:-1, 1:]
    row, column = np.divmod(np.flatnonzero(mixed), width - 1)
    place = row * width + column
    flat = labels.ravel()
    corners = [flat[place + step] for step in (0, 1, width, width + 1)]
    if not numbered.touching:
        return _count_kinds(corners, np.maximum.reduce(corners), count)
    total = np.zeros((count, 4), np.int64)
    for n, label in enumerate(corners):
        own = label > 0
        for other in corners[:n]:
            own &= other != label
        kept = np.flatnonzero(own)
        total += _count_kinds([corner[kept] for corner in corners], label[kept], count)
    return total


def _count_kinds(
    corners: list[NDArray[np.integer[Any]]], label: NDArray[np.integer[Any]], count: int
) -> Ints:
    code = np.zeros(len(label), np.uint8)
    for bit, corner in enumerate(corners):
        code |= (corner == label).view(np.uint8) << bit
    key = (label.astype(np.int64) - 1) * 5 + _KINDS[code]
    return np.bincount(key, minlength=5 * count).reshape(count, 5)[:, :4].astype(np.int64)


def euler(windows: list[int]) -> int:
    """Return the parts less the holes of an 8-connected region (Gray's formula)."""
    return (windows[ONE] - windows[THREE] - 2 * windows[CORNER]) // 4


def step(diameter: float) -> int:
    """Return how far apart the pixels are that are compared for the perimeter, pixels."""
    return max(1, math.floor(STEP_SHARE * diameter + 0.5))


def perimeter(straight: int, diagonal: int, distance: int) -> float:
    """Return the perimeter by Crofton's formula in four directions, pixels.

    Apart by 1 this is scikit-image's `perimeter_crofton`. Apart by a part of the region's size it
    does not grow with the steps that a mask has after it was enlarged.

    Parameters
    ----------
    straight, diagonal : int
        Pairs of pixels `distance` apart, in rows and columns and on diagonals, of which one lies
        in the region and the other does not.
    distance : int
        Pixels.
    """
    return math.pi * (straight + diagonal / math.sqrt(2)) / (8 * distance)


def neighbour_crossings(windows: list[int]) -> tuple[int, int]:
    """Return the pairs that `perimeter` asks for at distance 1, from `count_windows`."""
    one, side, corner, three = windows
    # A window has half of the pairs beside each other and all of those across.
    return one + side + three + 2 * corner, one + 2 * side + three


def distant_crossings(region: NDArray[np.bool_], area: int, distance: int) -> tuple[int, int]:
    """Return the pairs that `perimeter` asks for, of a region in its own box, (H, W)."""
    early, late = np.s_[:-distance], np.s_[distance:]
    both = [
        int(np.count_nonzero(one & other))
        for one, other in (
            (region[:, early], region[:, late]),
            (region[early], region[late]),
            (region[early, early], region[late, late]),
            (region[early, late], region[late, early]),
        )
    ]
    # Every pixel inside is in two pairs of a direction.
    return 4 * area - 2 * (both[0] + both[1]), 4 * area - 2 * (both[2] + both[3])
