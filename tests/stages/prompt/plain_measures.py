"""The measures written straight from their definitions with scikit-image and SciPy."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import find_contours, label, perimeter_crofton, regionprops

NAMES = (
    "top left", "top", "top right", "left", "center", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip


def shared(name):
    """Return a folder of real files, or skip."""
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("MEDSHARDS_TEST_DATA", root / "../shared/data")) / name
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}; set MEDSHARDS_TEST_DATA")
    return folder


def binary(mask):
    """Return a mask as uint8 of 0 and 255."""
    return (np.asarray(mask) > 0).astype(np.uint8) * 255


def plain_regions(mask, instances=None):
    """Return what a record's regions must be, without colours, as dicts."""
    numbered = label(mask > 0, connectivity=2) if instances is None else instances
    return [_plain_region(prop, mask.shape) for prop in regionprops(numbered)]


def plain_whole(mask):
    """Return what a record's `whole` must be, without colours."""
    return _plain_region(regionprops((mask > 0).astype(np.uint8))[0], mask.shape)


def _plain_region(prop, shape):
    height, width = shape
    rows, columns = prop.coords.T
    # The third that 2 x + 1 half pixels lie in, of 2 W.
    cell = 3 * (3 * (2 * rows + 1) // (2 * height)) + 3 * (2 * columns + 1) // (2 * width)
    top, left, bottom, right = prop.bbox
    return {
        "area": int(prop.area),
        "box": (left, top, right, bottom),
        "centroid": (prop.centroid[1] + 0.5, prop.centroid[0] + 0.5),
        "cells": tuple(np.bincount(cell, minlength=9).tolist()),
        "equivalent_diameter": prop.equivalent_diameter_area,
        "eccentricity": prop.eccentricity,
        "solidity": prop.solidity,
        "circularity": 4 * math.pi * prop.area / plain_perimeter(prop.image) ** 2,
        "euler": int(prop.euler_number),
        "touches_border": bool(
            (rows == 0).any()
            or (columns == 0).any()
            or (rows == height - 1).any()
            or (columns == width - 1).any()
        ),
    }


def plain_perimeter(region):
    """Return Crofton's perimeter; from pixels a twentieth of the diameter apart, if that is > 1."""
    apart = math.floor(0.05 * math.sqrt(4 * region.sum() / math.pi) + 0.5)
    if apart < 2:
        return perimeter_crofton(region)
    wide = np.pad(region, apart)
    total = 0.0
    for down, right in ((0, apart), (apart, 0), (apart, apart), (apart, -apart)):
        crossings = np.sum(wide != np.roll(wide, (down, right), axis=(0, 1)))
        # Lines of this direction are a pixel apart along an axis; each is crossed once per step.
        total += crossings / math.hypot(down, right)
    return math.pi / 8 * total


def plain_contrast(gray, region, foreground):
    """Return the mean gray inside less that of the ring, by full images."""
    width = max(2, math.floor(0.1 * math.sqrt(4 * region.sum() / math.pi) + 0.5))
    near = ndimage.binary_dilation(region, np.ones((2 * width + 1, 2 * width + 1)))
    ring = near & ~foreground
    return gray[region].mean() - gray[ring].mean() if ring.any() else None


def plain_poudel(gray):
    """Return coverages, places and box by the rules of `features_from_img.py`."""
    labels, count = ndimage.label(gray > 127.5)
    coverages, places = [], []
    for number in range(1, count + 1):
        part = (labels == number) * gray.astype(np.int64)
        coverages.append(np.sum(part / 255.0 == 1) / gray.size)
        places.append(_plain_place(part))
    return tuple(coverages), tuple(places), _plain_merged(gray)


def plain_shares(part):
    """Return the share of each cell, NaN for each where no pixel is exactly 255."""
    h, w = part.shape
    rows = (slice(0, int(h / 3)), slice(int(h / 3), int(2 * h / 3)), slice(int(2 * h / 3), None))
    cols = (slice(0, int(w / 3)), slice(int(w / 3), int(2 * w / 3)), slice(int(2 * w / 3), None))
    full = part / 255.0 == 1
    cells = [np.sum(full[r, c]) for r in rows for c in cols]
    with np.errstate(invalid="ignore"):
        return dict(zip(NAMES, [cell / np.sum(full) for cell in cells], strict=True))


def _plain_place(part):
    shares = plain_shares(part)
    nonzero = {name: share for name, share in shares.items() if share != 0}
    if len(nonzero) == 1:
        return next(iter(nonzero))
    major = [name for name, share in shares.items() if share >= 0.1]
    if not major:
        return sorted(nonzero.items(), key=lambda item: item[1])[0][0]  # noqa: FURB192 - as the rule is
    if len(major) == 1:
        return major[0]
    boxes = plain_boxes(part)
    if boxes:
        left, top, right, bottom = boxes[0]
    else:  # where the script stops with an error
        top, left, bottom, right = regionprops((part > 0).astype(int))[0].bbox
    h = part.shape[0]
    words = []
    for centre, low, high in (
        ((top + bottom) / 2, "top", "bottom"),
        ((left + right) / 2, "left", "right"),
    ):
        if centre < h / 3:
            words.append(low)
        elif centre > 2 * h / 3:
            words.append(high)
        else:
            words.append("center")
    if words[0] == "center":
        return words[1]
    return words[0] if words[1] == "center" else " ".join(words)


def plain_boxes(gray):
    """Return the boxes of the pieces of the traced border; none of one row or column."""
    if min(gray.shape) < 2:
        return []
    border = np.zeros(gray.shape, np.uint8)
    for contour in find_contours(gray, 128):
        for point in contour:
            border[int(point[0]), int(point[1])] = 255
    boxes = []
    for prop in regionprops(label(border)):
        top, left, bottom, right = prop.bbox
        boxes.append((left, top, right, bottom))
    return boxes


def _plain_merged(gray):
    low_x, low_y, high_x, high_y = gray.shape[1], gray.shape[0], 0, 0
    for left, top, right, bottom in plain_boxes(gray):
        if (right - left) * (bottom - top) > 4:
            low_x, low_y = min(low_x, left), min(low_y, top)
            high_x, high_y = max(high_x, right), max(high_y, bottom)
    return low_x, low_y, high_x, high_y


def plain_tganet(gray):
    """Return the number of boxes and the share of the last by the rules of `mask_to_text`."""
    import cv2

    boxes = plain_boxes(cv2.resize(gray, (256, 256)))
    share = 0.0
    for left, top, right, bottom in boxes:
        share = (bottom - top) * (right - left) / (256 * 256)
    return len(boxes), share
