"""A frontal chest radiograph, gray: normal, or with one of two kinds of pneumonia.

Bacterial pneumonia is one dense opacity that fills much of a lobe; viral pneumonia is a faint
net with haze spread over both lungs. Pose, exposure, ribs and vessels vary in every class; an
opacity may be small or thin, and traces of the net occur in every class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pipeline.stream import Stream
from stages.download.phantom.canvas import (
    Bits,
    Canvas,
    Drawing,
    Plane,
    bump,
    edge,
    step,
    strokes,
    unit,
)
from stages.download.phantom.noise import Draws, clouds, grain

Pair: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Body:
    """The body in its own coordinates, in which the spine is the line x = 0."""

    place: Canvas
    """Coordinates of the pixels in the body, whose spine may lean."""
    shift: Pair
    scale: Pair
    """A point of the body lies at ``shift + scale * point`` in the picture, but for the lean."""
    x: Any
    """(H, W) float32 distance from the spine, to the right of the picture."""
    y: Any
    """(H, 1) float32 height in the body, downwards.

    Neither has a closer type: NumPy's annotations take mixed scaled planes for float64.
    """


def draw(canvas: Canvas, stream: Stream, label: int) -> Drawing:
    """Return one radiograph of the class `label`; the lesion is the opacity, if there is any."""
    draws = Draws(stream.child("thorax"))
    body = _posed(canvas, draws)
    heart = _heart(body, draws)
    lungs = _lungs(body, draws) * (1.0 - 0.9 * heart)
    density = _soft_tissue(body, draws)
    density += 0.03 * heart - draws.bell(0.40, 0.02) * lungs
    density += _bones(body, draws) * (0.45 + 0.55 * lungs)
    density += _vessels(canvas, body, draws) * lungs
    density += lungs * (draws.between(0.006, 0.022) * clouds(canvas, stream.child("lung"), 12, 2))
    lesion = np.zeros((canvas.size, canvas.size), np.bool_)
    signs = Draws(stream.child("disease"))
    if label == 1:
        lesion |= _consolidation(canvas, stream, body, signs, density, lungs)
    # Half of the others show a trace of the net: crowded vessels in a shallow breath look the same.
    strength = signs.bell(1.0, 0.24) if label == 2 else signs.bell(0.0, 0.11)
    if label == 2 or strength > 0.0:
        patches = _net(canvas, stream, body, signs, density, lungs, strength)
        if label == 2:
            lesion |= patches
    return Drawing(_exposed(canvas, stream, density, draws), lesion)


def _posed(canvas: Canvas, draws: Draws) -> _Body:
    zoom = draws.bell(1.0, 0.04)
    shift = (draws.bell(0.0, 0.04), draws.bell(0.02, 0.04))
    scale = (zoom * draws.bell(0.98, 0.03), zoom * draws.bell(0.98, 0.03))
    lean = draws.bell(0.0, 0.035)
    x = (canvas.x - shift[0]) * (1.0 / scale[0])
    y = (canvas.y - shift[1]) * (1.0 / scale[1])
    place = Canvas(canvas.size, x + lean * y, y)
    return _Body(place, shift, scale, place.x, place.y)


def _lungs(body: _Body, draws: Draws) -> Plane:
    """Return how much of each pixel is air: two tapering lungs on the domes of the diaphragm."""
    x, y = body.x, body.y
    breath = draws.bell(0.52, 0.06)
    total = np.zeros_like(x)
    for side, lift in ((-1.0, 0.06), (1.0, 0.0)):
        width, height = draws.bell(0.35, 0.018), draws.bell(0.86, 0.03)
        u = (side * x - draws.bell(0.43, 0.015) - 0.09 * y) * (1.0 / width)
        v = (y - 0.04) * (1.0 / height)
        v = v * v
        inside = edge(u * u + v * (0.45 + 0.55 * v), draws.between(0.10, 0.18))
        away = side * x - 0.38
        floor = breath - lift * draws.between(0.5, 1.5) + draws.bell(0.95, 0.12) * away * away
        total += inside * step((floor - y) * draws.between(11.0, 22.0) + 0.5)
    return unit(total)


def _soft_tissue(body: _Body, draws: Draws) -> Plane:
    """Return the density of the trunk without its lungs: shoulders, spine, belly."""
    x, y = body.x, body.y
    radii = (draws.bell(1.08, 0.05), 1.95)
    trunk = edge(body.place.offset(0.0, 0.95, radii), 0.09)
    neck = bump(body.place.offset(0.0, -1.0, (0.5, 0.6)))
    spine = bump(x * x * (1.0 / 0.22 / 0.22))
    belly = step((y - 0.35) * 1.6)
    dense = draws.bell(0.58, 0.035) + draws.bell(0.17, 0.03) * spine + 0.10 * belly
    return unit(trunk + 0.8 * neck) * dense


def _heart(body: _Body, draws: Draws) -> Plane:
    """Return the shadow of the heart and the great vessels, 0 to 1."""
    radii = (draws.bell(0.36, 0.035), draws.bell(0.26, 0.025))
    heart = edge(body.place.offset(draws.bell(0.12, 0.03), 0.33, radii, (0.8, 0.6)), 0.22)
    arch = bump(body.place.offset(0.08, -0.22, (0.22, 0.36)))
    return np.maximum(heart, arch)


def _bones(body: _Body, draws: Draws) -> Plane:
    """Return the density of the ribs, behind and in front, and of the collarbones."""
    x: Any = np.abs(body.x)
    y = body.y
    bend, count = draws.bell(0.8, 0.1), draws.bell(4.7, 0.25)
    out = x - 0.22
    behind = (y - bend * out * out + draws.between(0.0, 0.4)) * count
    front = (y + 0.7 * x * x - 0.75 * x + draws.between(0.0, 0.4)) * (0.85 * count)
    cage = step((0.98 - x) * 8.0)
    total = (draws.bell(0.075, 0.022) * cage) * _bands(behind, 0.30)
    total += draws.bell(0.035, 0.012) * cage * step((x - 0.28) * 4.0) * _bands(front, 0.26)
    rise = draws.bell(0.30, 0.06)
    from_collar = (y + draws.bell(0.66, 0.04) + rise * x * (1.0 - 0.55 * x)) * (1.0 / 0.055)
    ends = step((x - 0.07) * 20.0)
    return total + draws.bell(0.10, 0.025) * bump(from_collar * from_collar) * ends


def _bands(phase: Plane, half: float) -> Plane:
    """Return soft bands of half width `half`, one in every unit of `phase`."""
    across = (phase - np.floor(phase) - 0.5) * (1.0 / half)
    return bump(across * across * 0.8)


def _vessels(canvas: Canvas, body: _Body, draws: Draws) -> Plane:
    """Return the density of the vessels that leave the root of each lung."""
    count = 10
    side = np.where(np.arange(count) % 2 == 0, -1.0, 1.0)
    ends = np.empty((count, 3, 2))
    ends[:, 0, 0] = side * draws.many(count, 0.10, 0.20)
    ends[:, 0, 1] = draws.many(count, -0.12, 0.10)
    ends[:, 2, 0] = side * draws.many(count, 0.30, 0.70)
    ends[:, 2, 1] = draws.many(count, -0.60, 0.55)
    ends[:, 1] = 0.5 * (ends[:, 0] + ends[:, 2])
    ends[:, 1, 1] += draws.many(count, -0.12, 0.12)
    ends = np.array(body.shift) + np.array(body.scale) * ends
    width = draws.many(count, 0.009, 0.0156)
    strength = draws.bell(0.13, 0.025) * draws.many(count, 0.5, 1.0)
    lines = strokes(canvas, ends, width, 0.25 * width, strength)
    reach = (0.17, 0.26)
    root = bump(body.place.offset(-0.2, 0.0, reach)) + bump(body.place.offset(0.2, 0.0, reach))
    return lines + draws.bell(0.11, 0.03) * root


def _consolidation(
    canvas: Canvas, stream: Stream, body: _Body, draws: Draws, density: Plane, lungs: Plane
) -> Bits:
    """Add one opacity that fills part of a lobe to `density`, and return its pixels."""
    side = -1.0 if draws.chance(0.58) else 1.0
    height = (-0.42, -0.02, 0.26)[(0, 1, 2, 2)[draws.below(4)]] + draws.bell(0.0, 0.06)
    big = draws.bell(1.06, 0.14)
    radii = (0.54 * big, draws.bell(0.48, 0.05) * big)
    centre = (side * draws.bell(0.46, 0.06), height)
    near = bump(body.place.offset(*centre, (1.15, 1.15)))
    ragged = near * clouds(canvas, stream.child("lobe"), 6, 2)
    field = bump(body.place.offset(*centre, radii, draws.direction()) * 0.7) + 0.20 * ragged
    cover = step((field - 0.36) * draws.between(1.3, 3.0) + 0.5)
    if draws.chance(0.5):
        # A fissure ends the opacity sharply, above or below.
        way = 1.0 if height > 0.0 else -1.0
        slope = draws.bell(0.0, 0.25) * (body.x - centre[0])
        cover = cover * step(way * (body.y - height + slope) * 9.0 + 2.0)
    # Up to the very border of the lung, or a thin line of air would outline heart and belly.
    cover = cover * unit(4.0 * lungs)
    depth = min(max(draws.bell(0.78, 0.14), 0.25), 0.95)
    density += depth * cover * (0.66 + 0.02 * ragged - density)
    return cover > 0.5


def _net(
    canvas: Canvas,
    stream: Stream,
    body: _Body,
    draws: Draws,
    density: Plane,
    lungs: Plane,
    strength: float,
) -> Bits:
    """Add fine lines and haze in patches of both lungs to `density`, and return the patches."""
    where = clouds(canvas, stream.child("patches"), 4)
    centre = body.place.offset(0.0, draws.bell(0.08, 0.15), (0.95, 0.9))
    patch = step(0.35 * where + (1.15 - 0.7 * centre)) * lungs
    coarse = clouds(canvas, stream.child("coarse"), 14 + draws.below(6))
    fine = clouds(canvas, stream.child("fine"), 26 + draws.below(10))
    # The zero lines of smooth noise form a net.
    lines = 0.7 * bump(coarse * coarse * 2.0) + 0.8 * bump(fine * fine * 2.0)
    lines_share, haze_share = draws.between(0.09, 0.16), draws.between(0.06, 0.13)
    density += max(strength, 0.0) * patch * (haze_share + lines_share * lines)
    return patch > 0.5


def _exposed(canvas: Canvas, stream: Stream, density: Plane, draws: Draws) -> Plane:
    """Return the film for `density`: exposure, contrast and noise vary."""
    slope = draws.bell(0.0, 0.03) * canvas.x + draws.bell(0.0, 0.03) * canvas.y
    value = unit(density + slope)
    # A curve between the straight line and the square stands in for the film's.
    bent = draws.between(-0.25, 0.45)
    value = value * (1.0 - bent) + bent * value * value
    image = draws.bell(12.0, 6.0) + draws.bell(248.0, 16.0) * value
    return image + grain(stream.child("grain"), image.shape) * draws.between(1.5, 5.0)
