"""Regions of a mask as runs of pixels in rows, from which most numbers follow in integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are outside."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Maximal runs of one region's pixels in a row, region after region, each in raster order."""

    row: Ints
    start: Ints
    stop: Ints
    """Row, first column and first column after each run, pixels of the image, (runs,)."""
    region: Ints
    """Number of each run's region, from 0, (runs,)."""
    count: int
    """Regions."""

    @property
    def first(self) -> Ints:
        """Number of the first run of each region, (regions,)."""
        return np.searchsorted(self.region, np.arange(self.count))

    def together(self) -> Runs:
        """Return all runs as those of one region, in raster order only region by region."""
        return Runs(self.row, self.start, self.stop, np.zeros_like(self.region), 1)

    def boxes(self) -> Ints:
        """Return left, top, right and bottom of each region, (regions, 4); none may be empty."""
        first = self.first
        sides = [
            np.minimum.reduceat(self.start, first),
            np.minimum.reduceat(self.row, first),
            np.maximum.reduceat(self.stop, first),
            np.maximum.reduceat(self.row, first) + 1,
        ]
        return np.stack(sides, axis=1)


@dataclass(frozen=True, slots=True)
class Numbered:
    """The part of an image that holds its regions, each pixel with the number of its region."""

    labels: NDArray[np.integer[Any]]
    """From 1; 0 outside of regions and at the outermost pixels, (H, W)."""
    origin: tuple[int, int]
    """Column and row of the image at which the part begins."""
    touching: bool
    """Whether different regions may be neighbours, as instances may."""

    def inside(self, number: int, box: Sequence[int]) -> NDArray[np.bool_]:
        """Return which pixels of `box` (left, top, right, bottom in the image) a region has."""
        (left, top, right, bottom), (x, y) = box, self.origin
        part: NDArray[np.bool_] = self.labels[top - y : bottom - y, left - x : right - x] == number
        return part


def find_runs(values: NDArray[Any]) -> tuple[Ints, Ints]:
    """Return the flat positions of the first pixel of, and of the first after, all runs.

    Parameters
    ----------
    values : ndarray (H, W)
        Runs are of one value other than 0. The outermost pixels must be 0.
    """
    flat = values.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    # Each run ends where the next value begins; what begins with a 0 is none.
    kept = np.flatnonzero(flat[changes])
    return changes[kept], changes[kept + 1]


def components(
    binary: NDArray[np.uint8], connectivity: int
) -> tuple[NDArray[np.integer[Any]], int, Ints, Ints, Ints]:
    """Return connected components, numbered in the order of their first pixels, row by row.

    Parameters
    ----------
    binary : ndarray of uint8 (H, W)
        Its outermost pixels must be 0.
    connectivity : int
        4 or 8.

    Returns
    -------
    labels : ndarray of int (H, W)
        Number of each pixel's component, from 1; 0 outside.
    count : int
    start, stop : ndarray of int64 (runs,)
        From `find_runs`.
    number : ndarray of int64 (runs,)
        Component of each run, from 0.
    """
    import cv2

    start, stop = find_runs(binary)
    found, labels = cv2.connectedComponents(binary, connectivity=connectivity)
    count = found - 1
    if count == 1:
        return labels, count, start, stop, np.zeros(len(start), np.int64)
    number = labels.ravel()[start].astype(np.int64) - 1
    first = first_of(number, count)
    if (np.diff(first) > 0).all():
        return labels, count, start, stop, number
    rank = np.empty(count, np.int64)
    rank[np.argsort(first)] = np.arange(count)
    renumber = np.concatenate([[0], rank + 1]).astype(np.int32)
    return renumber[labels], count, start, stop, rank[number]


def framed(values: NDArray[Any]) -> NDArray[Any]:
    """Return `values` with a frame of one pixel of 0 around it."""
    import cv2

    wide: NDArray[Any] = cv2.copyMakeBorder(values, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return wide


def first_of(numbers: Ints, count: int) -> Ints:
    """Return where each of 0 to `count` - 1 first occurs in `numbers`; each must."""
    first = np.empty(count, np.int64)
    # Of assignments to one place NumPy keeps the last.
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return first


def grouped(
    start: Ints, stop: Ints, region: Ints, count: int, width: int, origin: tuple[int, int]
) -> Runs:
    """Return the runs of regions.

    Parameters
    ----------
    start, stop : ndarray of int (runs,)
        From `find_runs`.
    region : ndarray of int (runs,)
        Number of each run's region, from 0.
    count : int
        Regions.
    width : int
        Columns of what the positions count in, pixels.
    origin : tuple of int
        Column and row of the image at which that begins.
    """
    row, left = np.divmod(start, width)
    left += origin[0]
    row += origin[1]
    right = left + (stop - start)
    if count == 1:
        return Runs(row, left, right, region, count)
    order = np.argsort(region, kind="stable")
    return Runs(row[order], left[order], right[order], region[order], count)


def cell_counts(runs: Runs, columns: tuple[int, int], rows: tuple[int, int]) -> Ints:
    """Return the pixels of each region in each cell of a 3 x 3 grid, (regions, 9), row by row.

    Parameters
    ----------
    runs : Runs
    columns, rows : tuple of int
        The first column and row of the middle and of the last third.
    """
    key = 3 * runs.region + (runs.row >= rows[0]) + (runs.row >= rows[1])
    middle, last = [np.maximum(runs.stop, edge) - np.maximum(runs.start, edge) for edge in columns]
    lengths = (runs.stop - runs.start - middle, middle - last, last)
    # Sums of float64 are exact below 2^53.
    sums = [np.bincount(key, length, 3 * runs.count) for length in lengths]
    return np.stack(sums, axis=1).astype(np.int64).reshape(-1, 9)


def thirds(length: int) -> tuple[int, int]:
    """Return the first pixel whose centre lies in the middle and in the last third of `length`.

    Pixel x lies in third floor(3 (2x + 1) / (2 length)); no centre lies on a line, because
    3 (2x + 1) is odd.
    """
    return -((3 - 2 * length) // 6), -((3 - 4 * length) // 6)
