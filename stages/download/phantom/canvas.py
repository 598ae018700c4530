"""Drawing primitives whose every bit is the same on every machine.

Only comparisons, integer arithmetic, table look-ups and IEEE elementwise ``+ - * /`` and ``sqrt``
are used: no transcendental function (their last bits depend on the processor), no float
reduction (its order is the library's choice). Falloffs are polynomials, and overlapping dabs
combine by maximum, which does not depend on order.

Coordinates are relative: both axes run from -1 to 1 across the picture, y downwards, so that the
same numbers draw the same content at any size.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.floating]
"""Float32 values of a picture or of a broadcastable row or column of it.

The type is wider because NumPy's annotations call a float32 array times a Python float float64.
"""
Bits: TypeAlias = NDArray[np.bool_]
"""True or false per pixel."""
Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of a part of a picture."""

_SPACING = 0.7
"""Pixels between points that must not miss a pixel: below the root of one half."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture before it is rounded."""

    image: Plane
    """(H, W) gray or (3, H, W) red, green, blue; 0 to 255, values outside are clamped later."""
    lesion: Bits
    """(H, W) pixels of the object that defines the class."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The pixel centres of a picture, or of a window of it, in relative coordinates."""

    size: int
    """Pixels along a side of the whole picture."""
    x: Plane
    """(1, W) from -1 to 1, left to right."""
    y: Plane
    """(H, 1) from -1 to 1, top to bottom."""

    @property
    def pixel(self) -> float:
        """Width of one pixel in relative coordinates."""
        return 2.0 / self.size

    def near(self, x: float, y: float, reach: float) -> tuple[Window, Canvas]:
        """Return the window within `reach` of a point, and its canvas; either side may be empty."""
        columns = _span(x, reach, self.size)
        rows = _span(y, reach, self.size)
        return (rows, columns), Canvas(self.size, self.x[:, columns], self.y[rows])

    def offset(
        self,
        x: float,
        y: float,
        radii: tuple[float, float],
        along: tuple[float, float] = (1.0, 0.0),
    ) -> Plane:
        """Return the squared distance from (x, y) in units of an ellipse's two radii.

        The value is 1 on the ellipse whose first radius lies in the direction `along`.
        """
        dx, dy = self.x - x, self.y - y
        (a, b), (c, s) = radii, along
        if s == 0.0:
            u, v = dx * (1.0 / a), dy * (1.0 / b)
            return u * u + v * v
        u = dx * (c / a) + dy * (s / a)
        v = dy * (c / b) - dx * (s / b)
        return u * u + v * v


def _span(centre: float, reach: float, size: int) -> slice:
    first = math.floor((centre - reach + 1.0) * 0.5 * size)
    last = math.ceil((centre + reach + 1.0) * 0.5 * size)
    return slice(min(max(first, 0), size), min(max(last, 0), size))


@functools.lru_cache(maxsize=32)
def canvas_of(size: int) -> Canvas:
    """Return the canvas of a whole picture of `size` by `size` pixels."""
    centres = ((2 * np.arange(size) + 1 - size) / np.float64(size)).astype(np.float32)
    centres.flags.writeable = False
    return Canvas(size, centres[None, :], centres[:, None])


def unit(values: Plane) -> Plane:
    """Return `values` clamped to [0, 1]."""
    return np.minimum(np.maximum(values, np.float32(0.0)), np.float32(1.0))


def step(values: Plane) -> Plane:
    """Return the smooth step ``t²(3-2t)`` of `values` clamped to [0, 1]."""
    t = unit(values)
    return t * t * (3.0 - 2.0 * t)


def bump(squared: Plane) -> Plane:
    """Return ``(1-d²)²`` of a squared distance, 0 from 1 on: a bell with an end."""
    left: Plane = np.maximum(1.0 - squared, np.float32(0.0))
    return left * left


def edge(squared: Plane, width: float) -> Plane:
    """Return 1 inside the unit ellipse of `Canvas.offset` and 0 outside.

    The border is a smooth step of `width`, in units of the radius.
    """
    return step((1.0 - np.sqrt(squared)) * (1.0 / width) + 0.5)


def profile(depth: Plane, table: Plane) -> Plane:
    """Return the entry of `table` nearest to `depth`, whose 0 and 1 are the table's two ends."""
    last = len(table) - 1
    return table.take((unit(depth) * last + 0.5).astype(np.intp))


def polyline(points: tuple[tuple[float, float], ...], entries: int = 1024) -> Plane:
    """Return a table of `entries` values on [0, 1] through (position, value) `points`."""
    at = np.arange(entries) / np.float64(entries - 1)
    table = np.full(entries, points[0][1])
    for (start, low), (end, high) in itertools.pairwise(points):
        inside = at >= start
        share = np.minimum((at[inside] - start) / (end - start), 1.0)
        table[inside] = low + (high - low) * share
    return table.astype(np.float32)


def dabs(
    canvas: Canvas,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: NDArray[np.float64],
    strength: NDArray[np.float64],
) -> Plane:
    """Return anti-aliased discs of given centres, radii and strengths, (H, W), the largest wins.

    A disc thinner than a pixel is drawn one pixel wide and fainter in proportion.
    """
    size = canvas.size
    plane = np.zeros(size * size, np.float32)
    if not len(x):
        return plane.reshape(size, size)
    column, row, reach = (x + 1.0) * (0.5 * size), (y + 1.0) * (0.5 * size), radius * (0.5 * size)
    side = math.ceil(float(reach.max())) + 1
    steps = np.arange(-side, side + 1)
    columns = np.floor(column).astype(np.int64)[:, None] + steps
    rows = np.floor(row).astype(np.int64)[:, None] + steps
    dx = (columns + 0.5 - column[:, None]).astype(np.float32)
    dy = (rows + 0.5 - row[:, None]).astype(np.float32)
    distance = np.sqrt((dx * dx)[:, None, :] + (dy * dy)[:, :, None])
    cover = unit((reach + 0.5).astype(np.float32)[:, None, None] - distance)
    cover *= (strength * np.minimum(2.0 * reach, 1.0)).astype(np.float32)[:, None, None]
    inside = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[
        :, None
    ]
    places = rows[:, :, None] * size + columns[:, None, :]
    np.maximum.at(plane, places[inside], cover[inside])
    return plane.reshape(size, size)


def strokes(
    canvas: Canvas,
    points: NDArray[np.float64],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    strength: NDArray[np.float64],
) -> Plane:
    """Return curved lines, (H, W): quadratic Bézier arcs with the given half widths at both ends.

    Parameters
    ----------
    points
        (N, 3, 2): the two ends and, between them, the control point, as (x, y).
    start, end, strength
        (N,) half widths at the ends in relative units, and greatest values.
    """
    half_side = 0.5 * canvas.size
    at = (points + 1.0) * half_side
    legs = at[:, 1:] - at[:, :-1]
    lengths = np.sqrt(legs[..., 0] * legs[..., 0] + legs[..., 1] * legs[..., 1])
    # A Bézier arc is never faster than twice its longer leg.
    speed = 2.0 * np.maximum(lengths[:, 0], lengths[:, 1])
    counts = np.ceil(speed * (1.0 / _SPACING)).astype(np.int64) + 2
    arc = np.repeat(np.arange(len(points)), counts)
    place = np.arange(len(arc)) - np.repeat(np.cumsum(counts) - counts, counts)
    t = place / (counts - 1)[arc]
    first, second = legs[arc, 0], legs[arc, 1]
    t2 = t[:, None]
    centre = at[arc, 0] + 2.0 * t2 * first + t2 * t2 * (second - first)
    tangent = first + t2 * (second - first)
    norm = np.sqrt(tangent[:, 0] * tangent[:, 0] + tangent[:, 1] * tangent[:, 1])
    normal = tangent[:, ::-1] * np.array([-1.0, 1.0]) / np.maximum(norm, 1e-9)[:, None]
    radius = (start[arc] + (end - start)[arc] * t) * half_side
    return _ribbon(canvas.size, centre, normal, radius, strength[arc])


def _ribbon(
    size: int,
    centre: NDArray[np.float64],
    normal: NDArray[np.float64],
    radius: NDArray[np.float64],
    strength: NDArray[np.float64],
) -> Plane:
    """Return the pixels within `radius` of points along lines, all in pixels.

    Every point looks along its normal only; with points and looks at most `_SPACING` apart no
    pixel is missed, and its distance is that to the tangent.
    """
    plane = np.zeros(size * size, np.float32)
    if not len(radius):
        return plane.reshape(size, size)
    looks = math.ceil((float(radius.max()) + 0.5) / _SPACING)
    across = np.arange(-looks, looks + 1) * _SPACING
    distance: Plane = np.zeros((len(radius), len(across)), np.float32)
    inside = np.ones(distance.shape, np.bool_)
    places = np.zeros(distance.shape, np.int64)
    for axis, stride in ((0, 1), (1, size)):
        pixel = np.floor(centre[:, axis, None] + normal[:, axis, None] * across)
        distance += (pixel + 0.5 - centre[:, axis, None]) * normal[:, axis, None]
        inside &= (pixel >= 0.0) & (pixel < size)
        places += pixel.astype(np.int64) * stride
    cover = unit((radius + 0.5).astype(np.float32)[:, None] - np.abs(distance))
    cover *= (strength * np.minimum(2.0 * radius, 1.0)).astype(np.float32)[:, None]
    inside &= cover > 0.0
    np.maximum.at(plane, places[inside], cover[inside])
    return plane.reshape(size, size)


def paint(image: Plane, colour: tuple[float, float, float], cover: Plane) -> None:
    """Lay `colour` over a (3, H, W) picture in place, where `cover` (H, W) in [0, 1] says."""
    image += cover * (np.array(colour, np.float32)[:, None, None] - image)


def quantised(image: Plane, factor: int) -> NDArray[np.uint8]:
    """Return a picture of values 0 to 255 as (H, W, C) uint8, each side `factor` times smaller.

    Each pixel is first rounded, then blocks of `factor` by `factor` are averaged in integers.
    """
    planes = image if image.ndim == 3 else image[None]
    limited = np.minimum(np.maximum(planes, np.float32(0.0)), np.float32(255.0))
    levels = (limited + 0.5).astype(np.uint16)
    levels = (block_sums(levels, factor) + factor * factor // 2) // (factor * factor)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))


def block_sums(values: NDArray[np.uint16], factor: int) -> NDArray[np.uint16]:
    """Return the sums over blocks of `factor` by `factor` of the last two axes."""
    for axis in (-2, -1):
        parts = (_every(values, factor, k, axis) for k in range(factor))
        values = functools.reduce(np.add, parts)
    return values


def _every(values: NDArray[np.uint16], factor: int, first: int, axis: int) -> NDArray[np.uint16]:
    return values[..., first::factor, :] if axis == -2 else values[..., first::factor]
