"""The values of a record as a straightforward script gets them, for `benchmarks.prompts`.

It uses `regionprops_table` once for all regions and works within each region's box where the rules
allow it, as a person who knows scikit-image would.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.measure import find_contours, label, perimeter_crofton, regionprops, regionprops_table
from skimage.transform import resize

PROPERTIES = (
    "area", "bbox", "centroid", "eccentricity", "equivalent_diameter_area", "solidity",
    "euler_number", "intensity_mean",
)  # fmt: skip


def straightforward(
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8],
    gray: NDArray[np.uint8],
    instances: NDArray[np.uint16] | None,
) -> tuple[object, ...]:
    """Return all values of a mask: of its regions, of all together, and of the published rules."""
    regions = label(mask > 0, connectivity=2) if instances is None else instances
    together = (mask > 0).astype(np.uint8)
    return (
        _regions(regions, image, mask > 0),
        _regions(together, image, mask > 0),
        _poudel(gray),
        _boxes((255 * resize(gray, (256, 256), order=1)).astype(np.uint8)),
    )


def _regions(
    labels: NDArray[Any], image: NDArray[np.uint8], foreground: NDArray[np.bool_]
) -> dict[str, Any]:
    level = 255 * rgb2gray(image) if image.shape[2] == 3 else image[:, :, 0]

    def crofton(region: NDArray[np.bool_]) -> float:
        return float(perimeter_crofton(region))

    found = regionprops_table(labels, image, properties=PROPERTIES, extra_properties=(crofton,))
    height, width = labels.shape
    cells, contrasts = [], []
    for prop in regionprops(labels):
        rows, columns = prop.coords.T
        edges = [0, 1 / 3, 2 / 3, 1]
        places = (rows + 0.5) / height, (columns + 0.5) / width
        cells.append(np.histogram2d(*places, bins=(edges, edges))[0])
        reach = max(2, round(0.1 * math.sqrt(4 * prop.area / math.pi)))
        top, left, bottom, right = prop.bbox
        part = np.s_[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach]
        near = ndimage.maximum_filter(labels[part] == prop.label, 2 * reach + 1)
        ring = near & ~foreground[part]
        inside = level[part][labels[part] == prop.label].mean()
        contrasts.append(inside - level[part][ring].mean() if ring.any() else None)
    found["circularity"] = 4 * math.pi * found["area"] / found["crofton"] ** 2
    return {**found, "cells": cells, "contrast": contrasts}


def _poudel(gray: NDArray[np.uint8]) -> tuple[object, ...]:
    labels, _ = ndimage.label(gray > 127.5)
    height, width = gray.shape
    coverages, shares, boxes = [], [], []
    for prop in regionprops(labels):
        rows, columns = prop.coords[gray[tuple(prop.coords.T)] == 255].T
        coverages.append(len(rows) / gray.size)
        edges = [[0, side // 3, 2 * side // 3, side] for side in (height, width)]
        share = np.histogram2d(rows, columns, bins=edges)[0] / max(len(rows), 1)
        shares.append(share)
        if (share >= 0.1).sum() > 1:
            part = np.pad(gray[prop.slice] * prop.image, 1)
            boxes.append(_boxes(part)[0])
    return coverages, shares, boxes, _boxes(gray)


def _boxes(gray: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    border = np.zeros(gray.shape, np.uint8)
    for contour in find_contours(gray, 128):
        border[tuple(contour.astype(int).T)] = 255
    return [prop.bbox for prop in regionprops(label(border))]
