"""A white blood cell among red ones, as on a stained smear: RGB, four kinds of white cell.

The kinds differ in the nucleus (lobes, roundness, share of the cell), in the granules (size,
colour, density) and in the tint of the cytoplasm; stain, light and focus vary far more than
these do, and every kind has unusual members that resemble another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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
    paint,
    unit,
)
from stages.download.phantom.noise import Draws, clouds, grain

Colour: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is typical of one kind of cell; lengths in units of half the picture's width."""

    radius: float
    nucleus: float
    """Radius of one lobe in units of the cell's radius."""
    lobes: tuple[int, ...]
    """Equally likely numbers of lobes."""
    spread: float
    """Distance of the lobes from the cell's middle, in units of its radius."""
    cytoplasm: Colour
    granules: int
    granule: float
    """Radius of one granule."""
    tint: Colour
    density: float
    """Greatest opacity of the granules."""
    over: float
    """Opacity of the granules over the nucleus, in units of `density`."""


_KINDS = (
    _Kind(0.54, 0.33, (2, 3, 3, 4, 5), 0.40, (221, 199, 211), 150, 0.018, (178, 128, 168), 0.4, 0),
    _Kind(0.55, 0.38, (2, 2, 2, 3), 0.38, (222, 188, 190), 140, 0.036, (208, 104, 88), 0.70, 0.15),
    _Kind(0.50, 0.42, (2, 2, 3), 0.27, (208, 190, 214), 80, 0.042, (76, 44, 124), 0.85, 0.8),
    _Kind(0.44, 0.74, (1,), 0.08, (178, 190, 226), 20, 0.022, (150, 90, 160), 0.4, 0.2),
)


def draw(canvas: Canvas, stream: Stream, label: int) -> Drawing:
    """Return one smear with a white cell of the kind `label`; the lesion is its nucleus."""
    draws = Draws(stream.child("smear"))
    kind = _varied(_KINDS[label], draws)
    image = _plasma(canvas, stream, draws)
    _red_cells(canvas, image, draws)
    nucleus = _white_cell(canvas, stream, image, draws, kind)
    _stain_and_light(canvas, stream, image, draws)
    return Drawing(image, nucleus)


def _varied(kind: _Kind, draws: Draws) -> _Kind:
    """Return an individual of `kind`; about one in nine resembles another kind."""
    odd = draws.chance(0.11)
    other = _KINDS[draws.below(len(_KINDS))]
    share = draws.between(0.3, 0.6) if odd else draws.between(0.0, 0.18)

    def mixed(own: float, foreign: float, spread: float) -> float:
        return max(draws.bell(own + share * (foreign - own), spread), 0.0)

    def tinted(own: Colour, foreign: Colour, spread: float) -> Colour:
        red, green, blue = (
            mixed(mine, theirs, spread) for mine, theirs in zip(own, foreign, strict=True)
        )
        return red, green, blue

    return _Kind(
        radius=mixed(kind.radius, other.radius, 0.045),
        nucleus=mixed(kind.nucleus, other.nucleus, 0.035),
        lobes=(kind.lobes[draws.below(len(kind.lobes))],),
        spread=mixed(kind.spread, other.spread, 0.04),
        cytoplasm=tinted(kind.cytoplasm, other.cytoplasm, 7.0),
        granules=int(mixed(kind.granules, other.granules, kind.granules * 0.2)),
        granule=mixed(kind.granule, other.granule, kind.granule * 0.15),
        tint=tinted(kind.tint, other.tint, 8.0),
        density=mixed(kind.density, other.density, 0.13),
        over=mixed(kind.over, other.over, 0.1),
    )


def _plasma(canvas: Canvas, stream: Stream, draws: Draws) -> Plane:
    base = np.array([draws.bell(mean, 4.0) for mean in (234.0, 220.0, 208.0)], np.float32)
    haze = clouds(canvas, stream.child("plasma"), 3, 2) * draws.between(1.0, 4.0)
    return base[:, None, None] + haze


def _red_cells(canvas: Canvas, image: Plane, draws: Draws) -> None:
    colour = [draws.bell(mean, 7.0) for mean in (206.0, 160.0, 152.0)]
    radius = draws.between(0.24, 0.32)
    pallor = draws.between(0.15, 0.6)
    for _ in range(4 + draws.below(9)):
        x, y = draws.between(-1.15, 1.15), draws.between(-1.15, 1.15)
        radii = (radius * draws.between(0.85, 1.1), radius * draws.between(0.85, 1.1))
        along, tone = draws.direction(), draws.bell(0.0, 5.0)
        if x * x + y * y < 0.3:
            continue
        window, part = canvas.near(x, y, 1.2 * radius)
        squared = part.offset(x, y, radii, along)
        cover = edge(squared, 0.12) * (0.85 - pallor * bump(squared * 2.2))
        red, green, blue = (value + tone for value in colour)
        paint(image[(slice(None), *window)], (red, green, blue), cover)


def _white_cell(canvas: Canvas, stream: Stream, image: Plane, draws: Draws, kind: _Kind) -> Bits:
    """Paint the white cell into `image` and return its nucleus."""
    x, y = draws.bell(0.0, 0.06), draws.bell(0.0, 0.06)
    radii = (kind.radius * draws.between(0.92, 1.1), kind.radius * draws.between(0.92, 1.1))
    wobble = clouds(canvas, stream.child("outline"), 5)
    squared = canvas.offset(x, y, radii, draws.direction()) * (1.0 + 0.09 * wobble)
    cell = edge(squared, draws.between(0.06, 0.14))
    texture = clouds(canvas, stream.child("chromatin"), 22, 2)
    paint(image, kind.cytoplasm, cell * (0.88 + 0.03 * texture))
    field = _lobes(canvas, draws, kind, x, y) + 0.03 * wobble
    nucleus = field * cell
    cover = unit((nucleus - 0.25) * draws.between(5.0, 9.0) + 0.5)
    granules = _granules(canvas, draws, kind, x, y) * cell
    paint(image, kind.tint, granules)
    red, green, blue = (draws.bell(mean, 9.0) for mean in (108.0, 72.0, 148.0))
    paint(image, (red, green, blue), cover * unit(0.88 + 0.07 * texture))
    paint(image, kind.tint, granules * cover * kind.over)
    return nucleus > 0.25


def _lobes(canvas: Canvas, draws: Draws, kind: _Kind, x: float, y: float) -> Plane:
    """Return the field of the nucleus: lobes along an arc, melting into one another."""
    (count,) = kind.lobes
    radius = kind.radius * kind.nucleus * (1.12 - 0.07 * count)
    (c, s), spread = draws.direction(), kind.radius * kind.spread
    field: Plane = np.zeros((1, 1), np.float32)
    for k in range(count):
        # Positions along a parabola, bent around the cell's middle.
        t = (k - 0.5 * (count - 1)) * draws.between(0.85, 1.15) * min(1.0, 2.2 / max(count - 1, 1))
        u, v = spread * t * 1.25, spread * (0.7 * t * t - 0.35) * min(count - 1, 1)
        u, v = u + draws.bell(0.0, 0.12) * radius, v + draws.bell(0.0, 0.12) * radius
        stretch = draws.between(0.85, 1.2)
        radii = (radius * 1.5 * stretch, radius * 1.5 / stretch)
        place = (x + c * u - s * v, y + s * u + c * v)
        field = field + bump(canvas.offset(*place, radii, draws.direction()))
    return field


def _granules(canvas: Canvas, draws: Draws, kind: _Kind, x: float, y: float) -> Plane:
    count = min(max(kind.granules, 1), 250)
    reach = kind.radius * 0.98
    return dabs(
        canvas,
        x + reach * draws.many(count, -1.0, 1.0),
        y + reach * draws.many(count, -1.0, 1.0),
        kind.granule * draws.many(count, 0.7, 1.3),
        min(kind.density, 0.95) * draws.many(count, 0.4, 1.0),
    )


def _stain_and_light(canvas: Canvas, stream: Stream, image: Plane, draws: Draws) -> None:
    """Vary white balance, exposure and light across the field in place, and add noise."""
    gains = np.array([draws.bell(1.0, 0.022) for _ in range(3)], np.float32)
    slope = draws.bell(0.0, 0.03) * canvas.x + draws.bell(0.0, 0.03) * canvas.y
    image *= gains[:, None, None] * (draws.bell(0.97, 0.04) + slope)
    noise = grain(stream.child("grain"), image.shape)
    image += noise * draws.between(1.5, 6.0)
