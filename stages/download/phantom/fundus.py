"""A photograph of the back of the eye: RGB, normal or with signs of a vascular disease.

The signs are microaneurysms, haemorrhages, hard exudates and cotton-wool spots, in any mixture
and often few. Pigment, light, focus and pose vary far more than they do, and normal eyes have
spots of their own: pigment dots, reflexes and dust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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
    strokes,
    unit,
)
from stages.download.phantom.noise import Draws, clouds, grain

Points: TypeAlias = NDArray[np.float64]
"""Places, lengths or strengths in relative units."""

_EXUDATE = (243.0, 216.0, 128.0)
_WOOL = (238.0, 214.0, 178.0)
_BLOOD = (104.0, 20.0, 14.0)
_PIGMENT = (96.0, 48.0, 26.0)
_REFLEX = (236.0, 190.0, 140.0)
_MARGIN = 0.02
"""How far beyond a sign its outline runs, as an annotator's pen would."""


@dataclass(frozen=True, slots=True)
class _Eye:
    """Where the landmarks are."""

    side: float
    """1 with the optic disc on the right of the picture, -1 on the left."""
    disc: tuple[float, float]
    macula: tuple[float, float]
    fundus: Plane
    """(H, W) 1 inside the round field of view, else 0."""


def draw(canvas: Canvas, stream: Stream, label: int) -> Drawing:
    """Return one photograph of the class `label`; the lesion is all the signs of disease."""
    draws = Draws(stream.child("eye"))
    eye = _posed(canvas, draws)
    image = _background(canvas, stream, eye, draws)
    _disc(canvas, image, eye, draws)
    _vessels(canvas, image, eye, Draws(stream.child("vessels")))
    spots = Draws(stream.child("spots"))
    _innocent(canvas, image, eye, spots)
    lesion = np.zeros((canvas.size, canvas.size), np.bool_)
    if label == 1:
        lesion = _signs(canvas, image, eye, Draws(stream.child("signs"))) & (eye.fundus > 0.5)
    return Drawing(_exposed(canvas, stream, image, eye, draws), lesion)


def _posed(canvas: Canvas, draws: Draws) -> _Eye:
    side = 1.0 if draws.chance(0.5) else -1.0
    place = (side * draws.bell(0.48, 0.06), draws.bell(-0.02, 0.06))
    macula = (place[0] - side * draws.bell(0.66, 0.05), place[1] + draws.bell(0.07, 0.04))
    radius = draws.between(0.93, 1.06)
    squared = canvas.offset(draws.bell(0.0, 0.015), draws.bell(0.0, 0.015), (radius, radius))
    return _Eye(side, place, macula, edge(squared, 0.03))


def _background(canvas: Canvas, stream: Stream, eye: _Eye, draws: Draws) -> Plane:
    """Return the retina without vessels: pigment, choroid, macula, fall of light to the rim."""
    colour = [draws.bell(*of) for of in ((198.0, 11.0), (98.0, 10.0), (50.0, 9.0))]
    mottle = clouds(canvas, stream.child("pigment"), 4, 4)
    choroid = clouds(canvas, stream.child("choroid"), 11 + draws.below(4))
    tessellated = draws.between(0.0, 0.05) * (bump(choroid * choroid * 0.8) - 0.4)
    tone = 1.0 + draws.between(0.02, 0.05) * mottle + tessellated
    dark = bump(canvas.offset(*eye.macula, (0.42, 0.40)))
    fovea = bump(canvas.offset(*eye.macula, (0.16, 0.16)))
    tone = tone - draws.between(0.10, 0.30) * dark - draws.between(0.02, 0.15) * fovea
    image: Plane = np.array(colour, np.float32)[:, None, None] * tone
    return image


def _disc(canvas: Canvas, image: Plane, eye: _Eye, draws: Draws) -> None:
    """Paint the optic disc with its paler cup, both in place."""
    radius = draws.bell(0.155, 0.012)
    radii = (radius * draws.bell(0.92, 0.04), radius)
    squared = canvas.offset(*eye.disc, radii)
    red, green, blue = draws.bell(236.0, 7.0), draws.bell(178.0, 12.0), draws.bell(108.0, 12.0)
    paint(image, (red, green, blue), edge(squared, draws.between(0.15, 0.4)) * 0.85)
    cup = draws.between(0.3, 0.65)
    paint(image, (250.0, 226.0, 176.0), edge(squared * (1.0 / (cup * cup)), 0.6) * 0.7)


def _vessels(canvas: Canvas, image: Plane, eye: _Eye, draws: Draws) -> None:
    """Paint veins, then arteries: four arcades from the disc, and branches off them, in place."""
    for colour, width, opacity in (
        ((118.0, 28.0, 22.0), draws.bell(0.020, 0.002), draws.between(0.6, 0.8)),
        ((158.0, 52.0, 30.0), draws.bell(0.014, 0.0015), draws.between(0.5, 0.75)),
    ):
        trunks = _arcades(eye, draws)
        twigs = _branches(trunks, draws, 5)
        twiglets = _branches(twigs, draws, 2)
        starts = np.concatenate(
            [
                np.full(len(part), width * w)
                for part, w in ((trunks, 1), (twigs, 0.6), (twiglets, 0.35))
            ]
        )
        points = np.concatenate((trunks, twigs, twiglets))
        lines = strokes(canvas, points, starts, 0.4 * starts, np.full(len(points), opacity))
        paint(image, colour, lines)


def _arcades(eye: _Eye, draws: Draws) -> Points:
    """Return the (4, 3, 2) Bézier points of the arcades: around the macula and to the nose."""
    arcs = np.empty((4, 3, 2))
    arcs[:, 0] = np.array(eye.disc) + 0.02 * draws.many(8, -1.0, 1.0).reshape(4, 2)
    for k, rise in enumerate((-1.0, 1.0)):
        end = (eye.macula[0] - eye.side * draws.between(0.05, 0.45), rise * draws.between(0.3, 0.6))
        arcs[k, 1] = (
            eye.disc[0] - eye.side * draws.between(0.1, 0.3),
            rise * draws.between(0.75, 1.0),
        )
        arcs[k, 2] = end
        arcs[2 + k, 1] = (eye.disc[0] + eye.side * 0.1, rise * draws.between(0.3, 0.6))
        arcs[2 + k, 2] = (eye.side * draws.between(0.75, 1.0), rise * draws.between(0.5, 0.9))
    return arcs


def _branches(trunks: Points, draws: Draws, each: int) -> Points:
    """Return (N, 3, 2) arcs that leave the arcs `trunks` at `each` places of every one."""
    count = len(trunks) * each
    trunk = np.repeat(trunks, each, axis=0)
    t = draws.many(count, 0.15, 0.95)[:, None]
    first, second = trunk[:, 1] - trunk[:, 0], trunk[:, 2] - trunk[:, 1]
    start = trunk[:, 0] + 2.0 * t * first + t * t * (second - first)
    along = (1.0 - t) * first + t * second
    across = along[:, ::-1] * np.array([-1.0, 1.0])
    turn = draws.many(count, -0.9, 0.9)[:, None]
    length = draws.many(count, 0.45, 0.95)[:, None]
    middle = start + 0.5 * length * (along + 0.5 * turn * across)
    end = start + length * (along + turn * across)
    return np.stack((start, middle, end), axis=1)


def _scattered(eye: _Eye, draws: Draws, count: int, reach: float) -> tuple[Points, Points]:
    """Return the places of `count` spots in a group of half width `reach` near the macula."""
    x, y = draws.bell(eye.macula[0], 0.28), draws.bell(eye.macula[1], 0.3)
    xs = x + reach * (draws.many(count, -0.5, 0.5) + draws.many(count, -0.5, 0.5))
    ys = y + reach * (draws.many(count, -0.5, 0.5) + draws.many(count, -0.5, 0.5))
    # Whatever falls outside the field of view is drawn back to its rim.
    shrink = np.minimum(1.0, 0.85 / np.sqrt(xs * xs + ys * ys + 1e-6))
    return xs * shrink, ys * shrink


def _innocent(canvas: Canvas, image: Plane, eye: _Eye, draws: Draws) -> None:
    """Paint what normal and diseased eyes share: pigment dots, reflexes, specks of dust."""
    count = draws.below(9)
    x, y = _scattered(eye, draws, count, 1.1)
    sizes, shades = draws.many(count, 0.008, 0.022), draws.many(count, 0.15, 0.6)
    paint(image, _PIGMENT, dabs(canvas, x, y, sizes, shades))
    count = draws.below(5)
    x, y = _scattered(eye, draws, count, 1.1)
    sizes, shades = draws.many(count, 0.008, 0.025), draws.many(count, 0.15, 0.55)
    paint(image, _REFLEX, dabs(canvas, x, y, sizes, shades))
    if draws.chance(0.4):
        # The sheen of a young retina around the macula.
        squared = canvas.offset(*eye.macula, (draws.between(0.2, 0.32), draws.between(0.2, 0.32)))
        ring = bump((squared - 1.0) * (squared - 1.0) * 6.0)
        paint(image, _REFLEX, ring * draws.between(0.03, 0.14))


def _signs(canvas: Canvas, image: Plane, eye: _Eye, draws: Draws) -> Bits:
    """Paint the signs of disease, each present or not but never none, and return their pixels."""
    degree = draws.between(0.25, 1.0)
    found = [draws.chance(chance) for chance in (0.75, 0.6, 0.6, 0.35)]
    if not any(found):
        found[draws.below(3)] = True
    covers = []
    kinds = (
        # Microaneurysms, haemorrhages, hard exudates, cotton-wool spots.
        (_BLOOD, 8 + int(40 * degree), 1.1, (0.009, 0.018), 0.8),
        (_BLOOD, 1 + int(9 * degree), 1.0, (0.024, 0.062), 0.85),
        (_EXUDATE, 6 + int(50 * degree), 0.5, (0.010, 0.028), 0.9),
        (_WOOL, 1 + int(3 * degree), 1.0, (0.050, 0.100), 0.75),
    )
    for present, (colour, count, reach, (small, large), opacity) in zip(found, kinds, strict=True):
        x, y = _scattered(eye, draws, count, reach)
        sizes = draws.many(count, small, large)
        shades = opacity * draws.between(0.6, 1.0) * draws.many(count, 0.6, 1.0)
        if present:
            paint(image, colour, _spots(canvas, x, y, sizes, shades, soft=colour is _WOOL))
            covers.append(dabs(canvas, x, y, sizes + _MARGIN, np.ones(count)) > 0.5)
    lesion: Bits = np.logical_or.reduce(covers)
    return lesion


def _spots(
    canvas: Canvas, x: Points, y: Points, sizes: Points, shades: Points, *, soft: bool
) -> Plane:
    """Return spots: pairs of discs, or clouds that fade outwards where `soft`."""
    if not soft:
        x, y = np.concatenate((x, x + 0.5 * sizes)), np.concatenate((y, y - 0.4 * sizes))
        return dabs(canvas, x, y, np.concatenate((sizes, 0.8 * sizes)), np.tile(shades, 2))
    cover = np.zeros((canvas.size, canvas.size), np.float32)
    for place in zip(x, y, sizes, shades, strict=True):
        across, down, size, shade = (float(number) for number in place)
        window, part = canvas.near(across, down, 1.4 * size)
        cloud = bump(part.offset(across, down, (1.4 * size, size))) * shade
        cover[window] = np.maximum(cover[window], cloud)
    return cover


def _exposed(canvas: Canvas, stream: Stream, image: Plane, eye: _Eye, draws: Draws) -> Plane:
    """Return the photograph: uneven light, haze, white balance, black surround, noise."""
    squared = canvas.offset(draws.bell(0.0, 0.12), draws.bell(0.0, 0.12), (1.0, 1.0))
    light = draws.bell(1.04, 0.08) - draws.between(0.15, 0.42) * squared
    gains = np.array([draws.bell(1.0, spread) for spread in (0.03, 0.035, 0.06)], np.float32)
    image = image * (gains[:, None, None] * light)
    if draws.chance(0.5):
        # A clouded lens or a crescent of stray light.
        veil = bump(canvas.offset(*draws.direction(), (1.3, 1.3))) * draws.between(0.05, 0.3)
        paint(image, (205.0, 150.0, 110.0), veil)
    dark = draws.between(2.0, 12.0)
    image = dark + (image - dark) * unit(eye.fundus)
    return image + grain(stream.child("grain"), image.shape) * draws.between(1.5, 5.0)
