"""A section through the retina by optical coherence tomography: gray, three diseases and normal.

The layers are bands between curves that are functions of the horizontal position; a disease
bends the curves apart or opens dark spaces between them. Age bumps, swollen normal retinas and
mixed diseases occur in every class, so that the classes overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    polyline,
    profile,
    unit,
)
from stages.download.phantom.noise import Draws, clouds, grain, ripples

_VITREOUS, _INNER, _OUTER, _CHOROID = 0.06, 0.34, 0.25, 0.35
"""Shares of the table below that the layers take, from top to bottom."""
_LAYERS = polyline(
    (
        *((0.0, 0.07), (0.055, 0.08), (0.065, 0.66), (0.1, 0.58), (0.125, 0.42), (0.25, 0.44)),
        *((0.285, 0.22), (0.34, 0.2), (0.36, 0.47), (0.395, 0.42), (0.42, 0.17), (0.52, 0.15)),
        *((0.535, 0.28), (0.55, 0.17), (0.572, 0.2), (0.585, 0.66), (0.605, 0.62), (0.62, 0.4)),
        *((0.65, 0.46), (0.655, 0.6), (0.7, 0.5), (0.82, 0.34), (0.95, 0.12), (1.0, 0.08)),
    )
)
"""Brightness 0 to 1: vitreous; nerve fibres to outer plexiform layer; photoreceptors; choroid."""


@dataclass(frozen=True, slots=True)
class _Retina:
    """Curves of a section, (1, W) each, in units of half the picture's height."""

    base: Plane
    """Height of Bruch's membrane, on which the pigment epithelium normally lies."""
    lift: Plane
    """Distance of the pigment epithelium from it."""
    fluid: Plane
    """Thickness of fluid between the pigment epithelium and the photoreceptors."""
    outer: Plane
    """Thickness of the photoreceptors."""
    inner: Plane
    """Thickness of the layers above them."""
    fovea: float
    """Horizontal position of the fovea."""


def draw(canvas: Canvas, stream: Stream, label: int) -> Drawing:
    """Return one section; the lesion is what the disease put between the layers."""
    retina = _retina(canvas, stream, Draws(stream.child("eye")))
    signs = Draws(stream.child("disease"))
    retina = _bumpy(canvas, retina, signs, signs.below(3), 0.02)
    aged = retina.lift
    holes = np.zeros((canvas.size, canvas.size), np.float32)
    if label == 0:
        retina = _membrane(canvas, stream, retina, signs)
        if signs.chance(0.25):
            _cysts(canvas, retina, signs, 1 + signs.below(4), holes)
    elif label == 1:
        retina = _edema(canvas, retina, signs)
        _cysts(canvas, retina, signs, 5 + signs.below(12), holes)
    elif label == 2:
        large = signs.chance(0.10)
        count, height = (2 + signs.below(3), 0.15) if large else (6 + signs.below(9), 0.105)
        retina = _bumpy(canvas, retina, signs, count, height)
    image, spaces = _section(canvas, stream, retina, holes, ragged=label == 0)
    lesion = (holes > 0.4) | (spaces & (retina.lift + retina.fluid > aged + 0.008))
    exposed = _exposed(canvas, stream, image, Draws(stream.child("device")))
    return Drawing(exposed, lesion if label != 3 else np.zeros_like(lesion))


def _retina(canvas: Canvas, stream: Stream, draws: Draws) -> _Retina:
    """Return a healthy retina; some sections miss the fovea or cut a thick retina."""
    zoom, fovea = draws.bell(1.25, 0.06), draws.bell(0.0, 0.08)
    x = canvas.x - fovea
    bow = draws.bell(0.0, 0.05) * canvas.x + draws.bell(0.05, 0.04) * canvas.x * canvas.x
    base = draws.bell(0.38, 0.05) + bow + 0.012 * ripples(canvas, stream.child("base"), 5)
    pit = draws.between(0.5, 0.85) if draws.chance(0.88) else draws.between(0.0, 0.3)
    narrow, wide = draws.between(0.28, 0.42), draws.between(0.8, 1.2)
    hill = bump(x * x * (1.0 / (wide * wide)))
    dip = bump(x * x * (1.0 / (narrow * narrow)))
    inner = draws.bell(0.36, 0.035) * (0.8 + 0.3 * hill) * (1.0 - pit * dip)
    outer = draws.bell(0.25, 0.02) * (1.0 + 0.2 * dip)
    wave = 1.0 + 0.04 * ripples(canvas, stream.child("inner"), 6)
    nothing = np.zeros_like(canvas.x)
    return _Retina(base, nothing, nothing, zoom * outer, zoom * inner * wave, fovea)


def _hill(canvas: Canvas, x: float, width: float, height: float) -> Plane:
    t = (canvas.x - x) * (1.0 / width)
    return height * bump(t * t)


def _bumpy(canvas: Canvas, retina: _Retina, draws: Draws, count: int, height: float) -> _Retina:
    """Return the retina with `count` drusen, of about `height`, under the pigment epithelium."""
    lift = retina.lift
    for _ in range(count):
        tall = height * draws.between(0.35, 1.2)
        width = 0.05 + tall * draws.between(0.5, 1.1)
        lift = np.maximum(lift, _hill(canvas, draws.bell(0.0, 0.4), width, tall))
    # The photoreceptors give way: the layers above follow only in part.
    return replace(retina, lift=lift, outer=retina.outer - 0.6 * (lift - retina.lift))


def _membrane(canvas: Canvas, stream: Stream, retina: _Retina, draws: Draws) -> _Retina:
    """Return the retina over a neovascular membrane, most often with fluid beside it."""
    x, width = draws.bell(retina.fovea, 0.14), draws.between(0.3, 0.6)
    small = draws.chance(0.12)
    height = draws.between(0.12, 0.18) if small else draws.between(0.2, 0.36)
    lift = _hill(canvas, x, width, height)
    for _ in range(1 + draws.below(3)):
        place = x + width * draws.between(-0.8, 0.8)
        part = _hill(canvas, place, width * draws.between(0.25, 0.6), height)
        lift = lift + part * draws.between(0.2, 0.6)
    lift = lift * unit(0.95 + 0.14 * ripples(canvas, stream.child("ragged"), 22))
    fluid = retina.fluid
    if draws.chance(0.75):
        place = x + width * draws.between(-0.8, 0.8)
        fluid = _hill(canvas, place, draws.between(0.25, 0.55), draws.between(0.05, 0.16))
    thin = 1.0 - unit(lift) * draws.between(0.3, 1.0)
    return replace(
        retina,
        lift=np.maximum(retina.lift, lift),
        fluid=fluid,
        outer=retina.outer * thin,
        inner=retina.inner * (1.0 + 0.4 * unit(lift)),
    )


def _edema(canvas: Canvas, retina: _Retina, draws: Draws) -> _Retina:
    """Return a swollen retina, at times with fluid under it."""
    x, width = draws.bell(retina.fovea, 0.12), draws.between(0.45, 0.9)
    swell = _hill(canvas, x, width, draws.between(0.12, 0.42))
    share = draws.between(0.3, 0.7)
    fluid = retina.fluid
    if draws.chance(0.2):
        fluid = _hill(canvas, x, draws.between(0.2, 0.4), draws.between(0.04, 0.12))
    inner, outer = retina.inner + share * swell, retina.outer + (1.0 - share) * swell
    return replace(retina, inner=inner, outer=outer, fluid=fluid)


def _cysts(canvas: Canvas, retina: _Retina, draws: Draws, count: int, holes: Plane) -> None:
    """Open `count` cysts, mostly in the dark layers, in the plane `holes` of values 0 to 1."""
    centre, scale = draws.bell(retina.fovea, 0.15), draws.between(0.7, 1.2)
    for _ in range(count):
        x = min(max(draws.bell(centre, 0.28), -0.95), 0.95)
        column = int((x + 1.0) * 0.5 * canvas.size)
        inner, outer = float(retina.inner[0, column]), float(retina.outer[0, column])
        floor = float((retina.base - retina.lift - retina.fluid)[0, column])
        deep = draws.chance(0.5)
        middle = floor - (0.58 * outer if deep else outer + 0.2 * inner)
        tall = scale * draws.between(0.18, 0.5) * (outer if deep else 0.8 * inner)
        radii = (max(tall * draws.between(0.45, 1.1), 0.022), max(tall, 0.028))
        window, part = canvas.near(x, middle, 1.3 * max(radii))
        cover = edge(part.offset(x, middle, radii), 0.3)
        holes[window] = np.maximum(holes[window], cover)


def _section(
    canvas: Canvas, stream: Stream, retina: _Retina, holes: Plane, *, ragged: bool
) -> tuple[Plane, Bits]:
    """Return the reflections, 0 to 1, and the spaces between retina and Bruch's membrane."""
    draws = Draws(stream.child("section"))
    y, base = canvas.y, retina.base
    epithelium = base - retina.lift
    floor = epithelium - retina.fluid
    middle = floor - retina.outer
    top = middle - retina.inner
    choroid = draws.bell(0.42, 0.08)
    depth = (
        _VITREOUS * unit((y - top) * 20.0 + 1.0)
        + _INNER * unit((y - top) / retina.inner)
        + _OUTER * unit((y - middle) / retina.outer)
        + _CHOROID * unit((y - base) * (1.0 / choroid))
    )
    image = profile(depth, _LAYERS)
    texture = clouds(canvas, stream.child("tissue"), 12, 3)
    sharp = 1.0 / max(0.016, canvas.pixel)
    below = unit((y - epithelium) * sharp)
    under = below * unit((base - y) * sharp)
    image = image + below * image * (0.22 * texture)
    material = draws.between(0.3, 0.62) + (0.12 if ragged else 0.03) * texture
    image = image + under * (material - image)
    wet = unit((y - floor) * sharp) * (1.0 - below)
    image = image + np.maximum(wet, holes) * (draws.between(0.07, 0.13) - image)
    # Vessels and lesions absorb the light that the pigment epithelium and choroid would return.
    shade = 1.0 - unit(retina.lift * draws.between(0.5, 2.0)) * below
    t = (y - epithelium) * (1.0 / draws.between(0.022, 0.034)) - 0.5
    gaps = ripples(canvas, stream.child("gaps"), 16)
    intact = unit(1.0 - (3.0 if ragged else 0.0) * unit(retina.lift) * (1.0 + gaps))
    line = bump(t * t) * intact * draws.between(0.75, 0.95)
    image = np.maximum(image * shade, line)
    spaces = (y > floor) & (y < base)
    return _dotted(canvas, draws, image, floor, retina), spaces


def _dotted(canvas: Canvas, draws: Draws, image: Plane, floor: Plane, retina: _Retina) -> Plane:
    """Return the image with a few bright points in the retina, and the shadows of vessels."""
    count = draws.below(7)
    x, depth = draws.many(count, -0.9, 0.9), draws.many(count, 0.3, 1.4)
    columns = ((x + 1.0) * (0.5 * canvas.size)).astype(np.intp)
    y = floor[0].take(columns) - depth * retina.outer[0].take(columns)
    dots = dabs(canvas, x, y, draws.many(count, 0.008, 0.022), draws.many(count, 0.4, 0.9))
    image = image + dots * (0.85 - image)
    for _ in range(draws.below(5)):
        dark = _hill(canvas, draws.between(-1.0, 1.0), draws.between(0.02, 0.06), 0.5)
        middle = floor - retina.outer - 0.7 * retina.inner
        image = image * (1.0 - dark * unit((canvas.y - middle) * 12.0))
    return image


def _exposed(canvas: Canvas, stream: Stream, image: Plane, draws: Draws) -> Plane:
    """Return gray levels: uneven signal along the scan, gain, speckle and electronic noise."""
    signal = draws.bell(1.0, 0.09) * (1.0 + 0.06 * ripples(canvas, stream.child("signal"), 4))
    fade = 1.0 - draws.between(0.0, 0.3) * bump((1.0 - np.abs(canvas.x)) * 5.0)
    contrast = draws.between(0.0, 0.5)
    image = image * signal * fade
    image = (1.0 - contrast) * image + contrast * image * image * 1.4
    noise = grain(stream.child("speckle"), image.shape)
    coarse = clouds(canvas, stream.child("grains"), 60)
    speckle = draws.between(0.08, 0.22) * noise + draws.between(0.05, 0.16) * coarse
    floor, gain = draws.between(4.0, 30.0), draws.between(200.0, 260.0)
    return floor + gain * image * (1.0 + speckle) + draws.between(3.0, 9.0) * noise
