"""A detail of a mammogram, gray: a mass, a group of calcifications, or both.

Benign calcifications are round, alike, larger and scattered, a benign mass is oval with a smooth
sharp border. Malignant calcifications are fine, unequal and crowded or strung along a duct, a
malignant mass is irregular, blurred and sends out spicules. Every sign is drawn on its own from
overlapping distributions, so that a picture may hold signs of both kinds.
"""

from __future__ import annotations

import numpy as np

from pipeline.stream import Stream
from stages.download.phantom.canvas import (
    Bits,
    Canvas,
    Drawing,
    Plane,
    bump,
    dabs,
    edge,
    step,
    strokes,
    unit,
)
from stages.download.phantom.noise import Draws, clouds, grain


class _Signs:
    """The degree to which a finding looks malignant, drawn anew for every sign."""

    def __init__(self, draws: Draws, label: int) -> None:
        self._draws = draws
        # One in twenty is hardly typical of its class.
        typical = 0.44 if draws.chance(0.95) else 0.05
        self._mean = 0.5 + typical * (1.0 if label == 1 else -1.0)

    def degree(self) -> float:
        """Return a degree from 0, benign, to 1, malignant."""
        return min(max(self._draws.bell(self._mean, 0.12), 0.0), 1.0)

    def between(self, benign: float, malignant: float) -> float:
        """Return a length, count or strength that goes with a new degree."""
        return benign + (malignant - benign) * self.degree()


def draw(canvas: Canvas, stream: Stream, label: int) -> Drawing:
    """Return one detail of the class `label`; the lesion is the mass and the group's area."""
    draws = Draws(stream.child("breast"))
    tissue = _tissue(canvas, stream, draws)
    signs = _Signs(draws, label)
    place = (draws.bell(0.0, 0.06), draws.bell(0.0, 0.06))
    kind = draws.between(0.0, 1.0)
    lesion = np.zeros((canvas.size, canvas.size), np.bool_)
    if kind < 0.75:
        lesion |= _mass(canvas, stream, tissue, Draws(stream.child("mass")), signs, place)
    if kind > 0.35:
        lesion |= _group(canvas, tissue, Draws(stream.child("group")), signs, place)
    return Drawing(_exposed(canvas, stream, tissue, draws), lesion)


def _tissue(canvas: Canvas, stream: Stream, draws: Draws) -> Plane:
    """Return the density of fat and gland, with strands of connective tissue, 0 to 1."""
    gland = clouds(canvas, stream.child("gland"), 2, 4)
    strands = clouds(canvas, stream.child("strands"), 9 + draws.below(5), 3)
    density = draws.bell(0.33, 0.06) + draws.between(0.02, 0.075) * gland
    density += draws.between(0.01, 0.04) * bump(strands * strands * 1.5)
    (c, s), rise = draws.direction(), draws.bell(0.0, 0.05)
    density += (rise * c) * canvas.x + (rise * s) * canvas.y
    if draws.chance(0.12):
        # The border of the breast, with air beyond.
        radii = (draws.between(2.1, 2.6), draws.between(2.1, 2.6))
        x, y = 1.35 * c, 1.35 * s
        inside = edge(canvas.offset(x, y, radii), 0.12)
        density = density * inside
    return density


def _mass(
    canvas: Canvas,
    stream: Stream,
    tissue: Plane,
    draws: Draws,
    signs: _Signs,
    place: tuple[float, float],
) -> Bits:
    """Add a mass to `tissue` and return its pixels."""
    radius = draws.bell(0.36, 0.045)
    stretch = draws.between(0.85, 1.2)
    coarse = clouds(canvas, stream.child("outline"), 5, 2)
    wobble = 1.0 + signs.between(0.02, 0.5) * coarse
    radii = (radius * stretch, radius / stretch)
    squared = canvas.offset(*place, radii, draws.direction()) * np.maximum(wobble, 0.4)
    cover = edge(squared, signs.between(0.10, 0.62))
    texture = 0.04 * clouds(canvas, stream.child("inside"), 12, 2)
    strength = draws.bell(0.27, 0.05)
    middle = 0.75 + signs.between(0.0, 0.5) * bump(squared * 0.8)
    tissue += cover * (strength * middle + texture)
    count = int(signs.between(-11.0, 31.0))
    if count > 0:
        tissue += _spicules(canvas, draws, count, radius, place) * draws.bell(0.23, 0.04)
    return cover > 0.5


def _spicules(
    canvas: Canvas, draws: Draws, count: int, radius: float, place: tuple[float, float]
) -> Plane:
    """Return thin lines that radiate from a mass, 0 to 1."""
    rays = np.array([draws.direction() for _ in range(count)])
    normals = rays[:, ::-1] * np.array([-1.0, 1.0])
    length = radius * draws.many(count, 1.25, 2.1)
    points = np.empty((count, 3, 2))
    points[:, 0] = rays * (radius * draws.many(count, 0.45, 0.95))[:, None]
    points[:, 2] = rays * length[:, None]
    bend = 0.22 * radius * draws.many(count, -1.0, 1.0)
    points[:, 1] = 0.5 * (points[:, 0] + points[:, 2]) + normals * bend[:, None]
    start = draws.many(count, 0.011, 0.0156)
    strength = draws.many(count, 0.5, 1.0)
    return strokes(canvas, np.array(place) + points, start, 0.4 * start, strength)


def _group(
    canvas: Canvas, tissue: Plane, draws: Draws, signs: _Signs, place: tuple[float, float]
) -> Bits:
    """Add a group of calcifications to `tissue` and return the area that it takes up."""
    count = max(int(signs.between(5.0, 48.0)), 3)
    reach = signs.between(0.68, 0.30)
    narrow = draws.between(0.75, 1.0)
    c, s = draws.direction()
    u = draws.many(count, -0.5, 0.5) + draws.many(count, -0.5, 0.5)
    v = (draws.many(count, -0.5, 0.5) + draws.many(count, -0.5, 0.5)) * narrow
    if signs.degree() > 0.72:
        # Along a duct that forks.
        narrow, reach = 0.45, reach * 1.5
        fork = np.where(np.arange(count) % 3 == 0, 0.9, -0.3)
        v = 0.22 * v + fork * 0.5 * np.maximum(u, 0.0)
    x, y = place[0] + reach * (c * u - s * v), place[1] + reach * (s * u + c * v)
    size = signs.between(0.050, 0.017)
    unequal = signs.between(0.08, 0.55)
    radius = size * draws.many(count, 1.0 - unequal, 1.0 + unequal)
    strength = draws.many(count, 1.0 - 1.1 * unequal, 1.0) * draws.bell(0.42, 0.07)
    # Rods are pairs of overlapping dots.
    rod = signs.between(0.0, 1.1) * radius
    twist = draws.many(count, -1.0, 1.0) * rod
    x, y = np.concatenate((x, x + rod)), np.concatenate((y, y + twist))
    grains = dabs(canvas, x, y, np.tile(radius, 2), np.tile(strength, 2))
    tissue += grains
    radii = (0.85 * reach + size, 0.85 * reach * narrow + size)
    return (canvas.offset(*place, radii, (c, s)) < 1.0) | (grains > 0.1)


def _exposed(canvas: Canvas, stream: Stream, density: Plane, draws: Draws) -> Plane:
    """Return the film for `density`: exposure, contrast and noise vary."""
    slope = draws.bell(0.0, 0.03) * canvas.x
    value = unit(density + slope)
    # A curve between the straight line and the smooth step stands in for the film's.
    bent = draws.between(0.0, 0.5)
    value = value + bent * (step(value) - value)
    image = draws.bell(12.0, 8.0) + draws.bell(235.0, 24.0) * value
    return image + grain(stream.child("grain"), image.shape) * draws.between(1.5, 5.0)
