"""Shape numbers of regions, in integers up to the last division or root.

So turning a mask by 90 degrees or mirroring it changes no bit of them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from stages.prompt.measure.runs import Ints, Numbered, Runs
from stages.prompt.measure.windows import (
    count_windows,
    distant_crossings,
    euler,
    neighbour_crossings,
    perimeter,
    step,
)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Numbers of some regions, one entry each, as `Region` describes them."""

    area: list[int]
    box: list[list[int]]
    centroid: list[tuple[float, float]]
    equivalent_diameter: list[float]
    eccentricity: list[float]
    solidity: list[float]
    circularity: list[float]
    euler: list[int]


def shapes(runs: Runs, numbered: Numbered) -> Shapes:
    """Return the shape numbers of regions, of which `runs` are the runs."""
    areas = np.add.reduceat(runs.stop - runs.start, runs.first).tolist()
    boxes = runs.boxes()
    sides = boxes.tolist()
    moments = _moments(runs).tolist()
    hulls = _hull_areas(runs, boxes).tolist()
    windows = count_windows(numbered, runs.count).tolist()
    diameters = [math.sqrt(4 * area / math.pi) for area in areas]
    return Shapes(
        areas,
        sides,
        [
            ((2 * x + a) / (2 * a), (2 * y + a) / (2 * a))
            for a, (x, y, *_) in zip(areas, moments, strict=True)
        ],
        diameters,
        [_eccentricity(a, *m) for a, m in zip(areas, moments, strict=True)],
        [a / hull for a, hull in zip(areas, hulls, strict=True)],
        [
            _circularity(area, step(diameters[n]), numbered, n, sides[n], windows[n])
            for n, area in enumerate(areas)
        ],
        [euler(kinds) for kinds in windows],
    )


def _circularity(
    area: int, distance: int, numbered: Numbered, n: int, box: list[int], windows: list[int]
) -> float:
    """Return 4 pi area / P^2 of region `n` (from 0), P being Crofton's perimeter."""
    if distance == 1:
        crossings = neighbour_crossings(windows)
    else:
        crossings = distant_crossings(numbered.inside(n + 1, box), area, distance)
    return 4 * math.pi * area / perimeter(*crossings, distance) ** 2


def _moments(runs: Runs) -> Ints:
    """Return the sums of x, y, x^2, y^2 and x y over each region's pixels, (regions, 5)."""
    start, stop, y = runs.start, runs.stop, runs.row
    length = stop - start
    x = (start + stop - 1) * length // 2
    below = [edge * (edge - 1) * (2 * edge - 1) // 6 for edge in (start, stop)]
    columns = np.stack([x, y * length, below[1] - below[0], y * y * length, x * y], axis=1)
    return np.add.reduceat(columns, runs.first)


def _eccentricity(area: int, x: int, y: int, xx: int, yy: int, xy: int) -> float:
    """Return sqrt(1 - l2 / l1) of the eigenvalues l1 >= l2 of the second central moments.

    With S and D the sum and the difference of the eigenvalues this is sqrt(2 D / (S + D)), which
    loses no digits where they are nearly equal. Python's integers cannot overflow.
    """
    across, down, both = area * xx - x * x, area * yy - y * y, area * xy - x * y
    total = across + down
    if not total:
        return 0.0
    difference = math.sqrt((across - down) ** 2 + 4 * both * both)
    return min(1.0, math.sqrt(2 * difference / (total + difference)))


def _hull_areas(runs: Runs, boxes: Ints) -> Ints:
    """Return the number of pixel centres in each region's convex hull, (regions,).

    The hull is that of the middles of all pixels' sides, its border included (scikit-image
    `area_convex`); here in half pixels, so that all corners are integers.
    """
    corners, sizes = _hulls(runs)
    last = np.cumsum(sizes)
    following = np.roll(corners, -1, axis=0)
    following[last - 1] = corners[last - sizes]
    top = boxes[:, 1]
    height = boxes[:, 3] - top
    offset = np.cumsum(height) - height
    region = np.repeat(np.arange(len(sizes)), sizes)
    return _count_in_polygons(corners, following, (offset - top)[region], height, offset)


def _hulls(runs: Runs) -> tuple[Ints, Ints]:
    """Return the corners (x, y) of all hulls in half pixels, and the number of each one's."""
    import cv2

    ends = np.stack([runs.start, runs.row, runs.stop - 1, runs.row], axis=1)
    points = (2 * ends).astype(np.int32).reshape(-1, 1, 2)
    sides = np.array([[[-1, 0], [1, 0], [0, -1], [0, 1]]], np.int32)
    bounds = [*(2 * runs.first).tolist(), len(points)]
    hulls = []
    for begin, end in itertools.pairwise(bounds):
        # The hull of the pixel centres leaves few whose sides matter.
        centres = cv2.convexHull(points[begin:end])
        hulls.append(cv2.convexHull((centres + sides).reshape(-1, 1, 2)))
    sizes = np.array([len(hull) for hull in hulls])
    return np.concatenate(hulls).reshape(-1, 2).astype(np.int64), sizes


def _count_in_polygons(begin: Ints, end: Ints, shift: Ints, height: Ints, offset: Ints) -> Ints:
    """Return the points with even coordinates in convex polygons with integer corners.

    Parameters
    ----------
    begin, end : ndarray of int (edges, 2)
        Ends (x, y) of all edges of all polygons.
    shift : ndarray of int (edges,)
        What turns a pixel row into a number among the rows of all polygons.
    height, offset : ndarray of int (polygons,)
        Rows of each polygon, and the first of them.
    """
    down = end[:, 1] > begin[:, 1]
    upper, lower = np.where(down[:, None], (begin, end), (end, begin))
    first, last = -(-upper[:, 1] // 2), lower[:, 1] // 2
    crossed = np.where(upper[:, 1] == lower[:, 1], 0, last - first + 1)
    edge = np.repeat(np.arange(len(begin)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed - first, crossed)
    run, rise = (lower - upper)[edge].T
    # The edge meets the row's line at x = across / rise; the pixel centres there are even.
    across = upper[edge, 0] * rise + (2 * row - upper[edge, 1]) * run
    line = row + shift[edge]
    left = np.full(height.sum(), np.iinfo(np.int64).max)
    right = np.full(len(left), np.iinfo(np.int64).min)
    np.minimum.at(left, line, -(-across // (2 * rise)))
    np.maximum.at(right, line, across // (2 * rise))
    return np.add.reduceat(right - left + 1, offset)
