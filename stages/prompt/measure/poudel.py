"""What the medvlsm scripts measure of a mask, with all their quirks.

The rules are those of `features_from_img.py` of the code that was published with Poudel et al.,
*Exploring Transfer Learning in Medical Image Segmentation using Vision-Language Models*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.prompt.measure.border import LEVEL, border_boxes
from stages.prompt.measure.runs import (
    Box,
    Ints,
    cell_counts,
    components,
    find_runs,
    framed,
    grouped,
)
from stages.prompt.record import PoudelMeasures

GRID = (
    "top left", "top", "top right",
    "left", "center", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
_ROWS, _COLUMNS = ("top", "center", "bottom"), ("left", "center", "right")
_SMALLEST_BOX = 4
"""Boxes of border pieces up to this area are left out of the merged box, pixels."""


def poudel(gray: NDArray[np.uint8]) -> PoudelMeasures:
    """Measure a gray mask.

    Parameters
    ----------
    gray : ndarray of uint8 (H, W)
        The mask file's gray values. Components are 4-connected pixels above 127.5; of their
        pixels only those of exactly 255 are counted.

    Notes
    -----
    Two cases stop the script with an error: a component of which no border is traced, because it
    fills the image or the image has one row or column, and which lies in several cells. Its place
    is here that of the component's own box.
    """
    found = _components(gray)
    outlines = _outlines(gray, found)
    box, alone = _merged_outlines(outlines), None
    if box is None:
        pieces = border_boxes(gray)
        alone = pieces if len(found) == 1 else None
        box = _merged(pieces) or (gray.shape[1], gray.shape[0], 0, 0)
    places = tuple(
        _place(gray, one, outline, alone) for one, outline in zip(found, outlines, strict=True)
    )
    coverages = tuple(sum(one.cells) / gray.size for one in found)
    return PoudelMeasures(coverages, places, box)


@dataclass(frozen=True, slots=True)
class _Component:
    number: int
    """Among the labels, from 1."""
    labels: NDArray[np.integer[Any]]
    """Component of each pixel of the part of the image that begins at `origin`, (H, W)."""
    origin: tuple[int, int]
    box: list[int]
    cells: list[int]
    """Pixels of exactly 255 in each cell."""


def _components(gray: NDArray[np.uint8]) -> list[_Component]:
    import cv2

    high = cv2.threshold(gray, LEVEL - 1, 255, cv2.THRESH_BINARY)[1]
    left, top, width, height = cv2.boundingRect(high)
    if not width:
        return []
    part = np.s_[top : top + height, left : left + width]
    labels, count, start, stop, number = components(framed(high[part]), 4)
    origin, stride = (left - 1, top - 1), labels.shape[1]
    boxes = grouped(start, stop, number, count, stride, origin).boxes().tolist()
    # Components are of what is above 127.5, and what is counted of them is exactly 255.
    full = cv2.threshold(gray[part], 254, 255, cv2.THRESH_BINARY)[1]
    start, stop = find_runs(framed(full))
    number = labels.ravel()[start].astype(np.int64) - 1
    runs = grouped(start, stop, number, count, stride, origin)
    h, w = gray.shape
    cells = cell_counts(runs, (w // 3, 2 * w // 3), (h // 3, 2 * h // 3)).tolist()
    return [
        _Component(n, labels, origin, *pair)
        for n, pair in enumerate(zip(boxes, cells, strict=True), start=1)
    ]


def _outlines(gray: NDArray[np.uint8], found: list[_Component]) -> list[Box | None]:
    """Return the box of the outer border of each component, None where it must be traced.

    The border around a component away from the image's edges is one loop, drawn into its own
    pixels and those above and to the left of them. Pixels of exactly 128 are drawn otherwise.
    """
    if not found or (gray == LEVEL).any():
        return [None] * len(found)
    height, width = gray.shape
    return [
        (left - 1, top - 1, right, bottom)
        if left and top and right < width and bottom < height
        else None
        for left, top, right, bottom in (one.box for one in found)
    ]


def _merged_outlines(outlines: list[Box | None]) -> Box | None:
    """Return the box around all outlines, None where borders must be traced to know it.

    That is where one is unknown, and where the outline of a single pixel, which counts only if it
    meets another border, lies outside of the box around all others.
    """
    known = [box for box in outlines if box is not None]
    merged = _merged(np.array(known)) if known and len(known) == len(outlines) else None
    if merged is None:
        return None
    left, top, right, bottom = np.transpose(known)
    inside = left.min(), top.min(), right.max(), bottom.max()
    return merged if merged == inside else None


def _merged(boxes: Ints) -> Box | None:
    """Return the box around all that are large enough, None without one."""
    kept = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) > _SMALLEST_BOX
    if not kept.any():
        return None
    left, top, right, bottom = boxes[kept].T.tolist()
    return min(left), min(top), max(right), max(bottom)


def _place(
    gray: NDArray[np.uint8], component: _Component, outline: Box | None, alone: Ints | None
) -> str:
    """Return the script's name for where a component lies.

    Where no cell has 10 %, the script takes the one with the smallest share. Of nine shares that
    add up to 1 one is above 10 %, so this happens only to the nine NaN of a component without a
    pixel of exactly 255. NaN is neither below nor above another, so that sorting leaves the first
    cell first: top left.
    """
    area = sum(component.cells)
    if not area:
        return GRID[0]
    filled = [name for name, pixels in zip(GRID, component.cells, strict=True) if pixels]
    # The float quotient is below 0.1 exactly where 10 n is below the area.
    major = [
        name for name, pixels in zip(GRID, component.cells, strict=True) if 10 * pixels >= area
    ]
    if len(filled) == 1 or len(major) == 1:
        return filled[0] if len(filled) == 1 else major[0]
    left, top, right, bottom = outline or _first_box(gray, component, alone)
    # The script compares the column with thirds of the height.
    row, column = _third(top + bottom, gray.shape[0]), _third(left + right, gray.shape[0])
    if row == 1:
        return _COLUMNS[column]
    return _ROWS[row] if column == 1 else f"{_ROWS[row]} {_COLUMNS[column]}"


def _third(twice: int, length: int) -> int:
    """Return the third of `length` that half of `twice` lies in; the middle has both its ends."""
    return int(3 * twice >= 2 * length) + int(3 * twice > 4 * length)


def _first_box(gray: NDArray[np.uint8], component: _Component, alone: Ints | None) -> Sequence[int]:
    """Return the box of the first piece of the component's border, however small it is.

    `alone` are the boxes of the mask's border where it has no other component.
    """
    left, top, right, bottom = component.box
    x, y = max(left - 1, 0), max(top - 1, 0)
    if alone is None:
        part = gray[y : bottom + 1, x : right + 1]
        height, width = part.shape
        down, along = y - component.origin[1], x - component.origin[0]
        labels = component.labels[down : down + height, along : along + width]
        own = np.where(labels == component.number, part, 0)
        boxes = border_boxes(own) + np.array([x, y, x, y])
    else:
        boxes = alone
    return boxes[0].tolist() if len(boxes) else component.box
