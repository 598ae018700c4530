"""From the mask of one target to its record."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.prompt.measure.colour import looks
from stages.prompt.measure.poudel import poudel
from stages.prompt.measure.runs import (
    Ints,
    Numbered,
    Runs,
    cell_counts,
    components,
    find_runs,
    framed,
    grouped,
    thirds,
)
from stages.prompt.measure.shape import Shapes, shapes
from stages.prompt.measure.tganet import tganet
from stages.prompt.record import EMPTY, OK, Hygiene, Record, Region

SPECK_SHARE = 0.0001
"""Regions that cover less of the image are specks."""
SPECKS = "specks"
"""What a record's findings call them."""


def measure(  # noqa: PLR0913 - the arrays of a sample and what is known of its file
    sample: str,
    target: str,
    mask: NDArray[np.uint8],
    *,
    image: NDArray[np.uint8] | None = None,
    source: NDArray[np.uint8] | None = None,
    instances: NDArray[np.uint16] | None = None,
    levels: int = 2,
    fringe: int = 0,
    findings: tuple[str, ...] = (),
) -> Record:
    """Measure one target of one image.

    Regions are 8-connected components of the mask, or instances. Every value of a region is
    computed within its own bounding box. May be called from many threads.

    Parameters
    ----------
    sample, target : str
        Names that the record and errors carry.
    mask : ndarray of uint8 (H, W)
        0 or 255.
    image : ndarray of uint8 (H, W, 1 or 3), optional
        What the mask belongs to: gray or RGB. Without it there is neither colour nor contrast.
    source : ndarray of uint8 (H, W), optional
        The mask file's own gray values, which the published rules go by; `mask` if None.
    instances : ndarray of uint16 (H, W), optional
        Ids of the target's instances: above 0 exactly where the mask is.
    levels, fringe : int
        What `Hygiene` tells of the file.
    findings : tuple of str
        What was found when the file was read; "specks" is added where there are any.

    Raises
    ------
    DataError
        If an array is not of the type, shape or values above.
    """
    _check(f"{sample}, target {target}", mask, image, source, instances)
    height, width = mask.shape
    whole, regions = _regions(mask, image, instances)
    specks = sum(region.area < SPECK_SHARE * mask.size for region in regions)
    found = (*findings, SPECKS) if specks and SPECKS not in findings else tuple(findings)
    gray = np.ascontiguousarray(mask if source is None else source)
    return Record(
        sample,
        target,
        OK if regions else EMPTY,
        "",
        height,
        width,
        whole,
        regions,
        instances is not None,
        Hygiene(levels, fringe, specks, found),
        poudel(gray),
        tganet(gray),
    )


def _regions(
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8] | None,
    instances: NDArray[np.uint16] | None,
) -> tuple[Region | None, tuple[Region, ...]]:
    """Return the foreground as one region, and its regions."""
    import cv2

    mask = np.ascontiguousarray(mask)
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return None, ()
    part = np.s_[top : top + height, left : left + width]
    binary = framed(mask[part])
    origin = left - 1, top - 1
    if instances is None:
        labels, count, start, stop, number = components(binary, 8)
    else:
        labels, count, start, stop, number = _instances(framed(instances[part]))
    runs = grouped(start, stop, number, count, width + 2, origin)
    scene = _Scene(mask, image)
    # Bytes are compared faster than integers.
    together = Numbered(cv2.threshold(binary, 0, 1, cv2.THRESH_BINARY)[1], origin, touching=False)
    whole = scene.regions(runs.together(), together)
    if count == 1:
        return whole[0], whole
    numbered = Numbered(labels, origin, touching=instances is not None)
    return whole[0], scene.regions(runs, numbered)


class _Scene:
    """What the regions of a mask lie in."""

    def __init__(self, mask: NDArray[np.uint8], image: NDArray[np.uint8] | None) -> None:
        self._shape = mask.shape
        self._outside = ~mask
        self._image = image

    def regions(self, runs: Runs, numbered: Numbered) -> tuple[Region, ...]:
        """Return the regions that have these runs."""
        height, width = self._shape
        shape = shapes(runs, numbered)
        cells = cell_counts(runs, thirds(width), thirds(height)).tolist()
        colours, contrasts = self._looks(shape, numbered)
        return tuple(
            Region(
                shape.area[n],
                (box[0], box[1], box[2], box[3]),
                shape.centroid[n],
                tuple(cells[n]),
                shape.equivalent_diameter[n],
                shape.eccentricity[n],
                shape.solidity[n],
                shape.circularity[n],
                shape.euler[n],
                not (box[0] and box[1] and box[2] < width and box[3] < height),
                colours[n],
                contrasts[n],
            )
            for n, box in enumerate(shape.box)
        )

    def _looks(
        self, shape: Shapes, numbered: Numbered
    ) -> tuple[list[str | None], list[float | None]]:
        if self._image is None:
            return [None] * len(shape.area), [None] * len(shape.area)
        return looks(self._image, self._outside, numbered, shape.box, shape.equivalent_diameter)


def _instances(
    ids: NDArray[np.uint16],
) -> tuple[NDArray[np.integer[Any]], int, Ints, Ints, Ints]:
    """Return instances, numbered in the order of their ids, in the form of `components`."""
    start, stop = find_runs(ids)
    names, number = np.unique(ids.ravel()[start], return_inverse=True)
    renumber = np.zeros(int(names[-1]) + 1, np.int32)
    renumber[names] = np.arange(1, len(names) + 1)
    return renumber[ids], len(names), start, stop, number


def _check(
    where: str,
    mask: NDArray[Any],
    image: NDArray[Any] | None,
    source: NDArray[Any] | None,
    instances: NDArray[Any] | None,
) -> None:
    """Raise a `DataError` unless the arrays are what `measure` asks for."""
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise DataError(f"{where}: the mask must be uint8 (H, W), not {_form(mask)}")
    # 255 + 1 wraps to 0.
    wrong = (mask + np.uint8(1)) > 1
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise DataError(
            f"{where}: the mask must be 0 or 255, but is {mask[row, column]} "
            f"at row {row}, column {column}"
        )
    if image is not None and (
        image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[:2] != mask.shape
        or image.shape[2] not in {1, 3}
    ):
        raise DataError(
            f"{where}: the image must be uint8 {_fit(mask)} with 1 or 3 channels, "
            f"not {_form(image)}"
        )
    for name, array, kind in (("source", source, np.uint8), ("instances", instances, np.uint16)):
        if array is not None and (array.dtype != kind or array.shape != mask.shape):
            raise DataError(
                f"{where}: {name} must be {np.dtype(kind)} {_fit(mask)}, not {_form(array)}"
            )
    if instances is not None and ((instances > 0) != (mask > 0)).any():
        row, column = np.argwhere((instances > 0) != (mask > 0))[0].tolist()
        raise DataError(
            f"{where}: instance {instances[row, column]} lies where the mask is "
            f"{mask[row, column]}, at row {row}, column {column}"
        )


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _fit(mask: NDArray[Any]) -> str:
    return f"of height {mask.shape[0]} and width {mask.shape[1]}"
