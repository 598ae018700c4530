"""Surfaces of 2-D masks and which of their elements are within reach of another surface.

A surface element sits where four pixels meet, on the lattice of (H + 1, W + 1) corners; pixels
outside the image are background. Its code says which of the four are inside: 8 top left, 4 top
right, 2 bottom left, 1 bottom right (DeepMind's surface-distance).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.segmentation.contract import Mask

Codes = NDArray[np.uint8]

_MOST_OFFSETS = 256
"""Beyond so many lattice points within the tolerance a distance transform is faster."""


@dataclass(frozen=True, eq=False)
class Surface:
    """The elements of one mask's surface on a lattice of corners."""

    codes: Codes
    """Shape (h + 1, w + 1), in [0, 16)."""
    elements: Mask
    """Shape (h + 1, w + 1): where the elements are."""

    def counts(self) -> NDArray[np.int64]:
        """Return the number of elements of each code, (16,)."""
        return np.bincount(self.codes[self.elements], minlength=16)


def codes_of(first: Mask, second: Mask) -> tuple[Codes, Codes]:
    """Return the codes of both masks on the lattice of their common bounding box.

    At least one of them has a pixel.
    """
    either = first | second
    box = tuple(_extent(np.asarray(either.any(axis=axis))) for axis in (1, 0))
    return _codes(first[box]), _codes(second[box])


def _extent(flags: Mask) -> slice:
    where = np.flatnonzero(flags)
    return slice(int(where[0]), int(where[-1]) + 1)


def _codes(mask: Mask) -> Codes:
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    # Bits side by side first: two shifts over the whole image less than one at a time.
    sideways = padded[:, :-1] << np.uint8(1) | padded[:, 1:]
    codes: Codes = sideways[:-1] << np.uint8(2) | sideways[1:]
    return codes


def within(
    surface: Surface, other: Surface, tolerance: float, spacing: tuple[float, float]
) -> NDArray[np.int64]:
    """Return how many elements of each code lie within `tolerance` of `other`, (16,).

    The distance of an element is the Euclidean one to the nearest corner with an element of
    `other`, compared as float64.
    """
    reach = math.pi * (tolerance / spacing[0] + 1) * (tolerance / spacing[1] + 1)
    if not other.elements.any():
        return np.zeros(16, np.int64)
    if reach > _MOST_OFFSETS:
        near = _by_transform(surface.elements, other.elements, tolerance, spacing)
    else:
        near = _by_offsets(surface.elements, other.elements, tolerance, spacing)
    return np.bincount(surface.codes[near], minlength=16)


def _by_transform(
    elements: Mask, other: Mask, tolerance: float, spacing: tuple[float, float]
) -> Mask:
    from scipy.ndimage import distance_transform_edt

    near: Mask = distance_transform_edt(~other, sampling=spacing) <= tolerance
    return near & elements


def _by_offsets(
    elements: Mask, other: Mask, tolerance: float, spacing: tuple[float, float]
) -> Mask:
    """Look at the lattice points around each element, nearest first, until one is found."""
    near = elements & other
    # One more than fits, because the quotient may be rounded down.
    rows, columns = (int(tolerance / step) + 1 for step in spacing)
    width = other.shape[1] + 2 * columns
    padded = np.zeros((other.shape[0] + 2 * rows, width), np.bool_)
    padded[rows : rows + other.shape[0], columns : columns + other.shape[1]] = other
    seen = padded.ravel()
    left_rows, left_columns = np.nonzero(elements & ~near)
    places = (left_rows + rows) * width + left_columns + columns
    found = np.zeros(len(places), np.bool_)
    waiting = np.arange(len(places))
    for down, right in _offsets(rows, columns, tolerance, spacing):
        hit = seen[places[waiting] + down * width + right]
        found[waiting[hit]] = True
        waiting = waiting[~hit]
        if not waiting.size:
            break
    near[left_rows[found], left_columns[found]] = True
    return near


def _offsets(
    rows: int, columns: int, tolerance: float, spacing: tuple[float, float]
) -> Iterator[tuple[int, int]]:
    """Yield the steps to lattice points within `tolerance`, nearest first, zero left out."""
    around = [
        (math.sqrt((down * spacing[0]) ** 2 + (right * spacing[1]) ** 2), down, right)
        for down in range(-rows, rows + 1)
        for right in range(-columns, columns + 1)
        if down or right
    ]
    for distance, down, right in sorted(around):
        if distance <= tolerance:
            yield down, right
