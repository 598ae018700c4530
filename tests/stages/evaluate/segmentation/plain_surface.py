"""Surface distances written straight from their definitions, one corner and distance at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from skimage.measure import marching_cubes, mesh_surface_area

Spacing = tuple[float, ...]


def blocks(mask: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Yield each corner of the lattice with the 2 × 2 (× 2) pixels that meet in it."""
    padded = np.pad(mask, 1)
    for place in np.ndindex(*(size + 1 for size in mask.shape)):
        yield place, padded[tuple(slice(at, at + 2) for at in place)]


def contour_length(block: np.ndarray, spacing: Spacing) -> float:
    """Return the length of contour in the cell between four pixel centres.

    Each pixel that differs from both its neighbours is cut off by a segment between the middles
    of two sides; two beside each other are cut off by one segment across.
    """
    cut = math.hypot(*spacing) / 2
    inside = int(block.sum())
    if inside in {1, 3}:
        return cut
    if block[0, 0] == block[1, 1]:  # the two of a diagonal
        return 2 * cut
    return spacing[1] if block[0, 0] == block[0, 1] else spacing[0]


def surface_area(block: np.ndarray, _: Spacing) -> float:
    """Return the area of the marching-cubes surface between eight voxel centres."""
    vertices, faces, *_ = marching_cubes(block.astype(np.float32), 0.5, method="lorensen")
    return float(mesh_surface_area(vertices, faces))


def elements(
    mask: np.ndarray, spacing: Spacing, size: Callable[[np.ndarray, Spacing], float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of a mask's surface elements and their lengths or areas."""
    found = [(at, size(block, spacing)) for at, block in blocks(mask) if 0 < block.mean() < 1]
    places = np.array([at for at, _ in found], float).reshape(-1, mask.ndim)
    return places * np.array(spacing), np.array([weight for _, weight in found])


def surface_dice(
    first: np.ndarray,
    second: np.ndarray,
    tolerance: float,
    spacing: Spacing,
    size: Callable[[np.ndarray, Spacing], float] = contour_length,
) -> float:
    """Return the share of both surfaces within the tolerance of each other, NaN of no surface."""
    one, two = elements(first, spacing, size), elements(second, spacing, size)
    near = whole = 0.0
    for (places, weights), (others, _) in ((one, two), (two, one)):
        for place, weight in zip(places, weights, strict=True):
            closest = min((math.dist(place, other) for other in others), default=math.inf)
            near += weight * (closest <= tolerance)
            whole += weight
    return near / whole if whole else math.nan


def slab_dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the surface Dice at 2 px of two masks given a third axis of one layer."""
    return surface_dice(first[..., None], second[..., None], 2.0, (1.0, 1.0, 1.0), surface_area)
