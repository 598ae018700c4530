"""Stain deposit: black blots, as of dried stain on a slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.draws import Draws
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.noise import draw_key

# MedMNIST-C 0.1.0, `StainDeposit`.
_MARGIN = 10

_SPREAD = 0.25
"""Blots cover from 1 - this to 1 + this times the mean share, as the published ones do."""

# Of the two noise fields: the cells of the one in a blot's width, the pixels of a cell of the
# other, and how much each counts. Chosen by the length of outline that the published blots have.
_COARSE_CELLS, _FINE_PIXELS = 4, 3
_COARSE_WEIGHT, _FINE_WEIGHT = 2, 4


class Severity(Declared):
    """Parameters of one severity."""

    max_marks: Annotated[int, Field(ge=1, le=1000)]
    """Numbers of blots are uniform from 1 to this."""

    ink_size: Annotated[int, Field(ge=4, le=256)]
    """Pixels; side of the square that holds a blot, at most the image's smaller side."""

    ink_share: Annotated[float, Field(ge=0.1, le=0.8)]
    """Mean part of that square that is black."""


class Mark(NamedTuple):
    """One blot."""

    x: int
    """First column of its square."""

    y: int
    """First row of its square."""

    ink: NDArray[np.bool_]
    """(S, S); True where the image becomes black."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the three parameters and the ``noise_key`` of the blots."""
    return {
        "max_marks": severity.max_marks,
        "ink_size": severity.ink_size,
        "ink_share": severity.ink_share,
        "noise_key": draw_key(stream),
    }


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` under the blots of ``noise_key``."""
    drawn = draw_marks(
        int(parameters["noise_key"]),
        int(parameters["max_marks"]),
        int(parameters["ink_size"]),
        float(parameters["ink_share"]),
        image.shape,
    )
    return apply_marks(image, drawn)


def draw_marks(
    key: int, max_marks: int, ink_size: int, ink_share: float, shape: tuple[int, ...]
) -> list[Mark]:
    """Return the blots of `key` in an image of `shape` (H, W, ...).

    Numbers and positions have MedMNIST-C's laws: 10 pixels stay free along the edges. In an image
    too small for that as much as can be stays free on the shorter side, and a blot is no wider
    than the image. The shapes are this project's own: see `blot`.
    """
    height, width = shape[:2]
    size = min(ink_size, height, width)
    margin = min(_MARGIN, (min(height, width) - size) // 2)
    lattices = (_COARSE_CELLS + 1) ** 2 + (size // _FINE_PIXELS + 1) ** 2
    draws = Draws(key, 1 + max_marks * (3 + lattices))
    marks = []
    for _ in range(draws.between(1, max_marks)):
        x = draws.between(margin, width - size - margin)
        y = draws.between(margin, height - size - margin)
        marks.append(Mark(x, y, blot(draws, size, ink_share)))
    return marks


def blot(draws: Draws, size: int, share: float) -> NDArray[np.bool_]:
    """Return the next blot of `draws`: a disk whose outline is made uneven by smooth noise.

    Its pixels are the highest of a field that falls with the square of the distance from the
    centre, to which two bilinearly interpolated noise fields are added, all in whole numbers.
    How many they are is drawn first: `share` of the square, give or take a quarter.

    MedMNIST-C draws one of ten pictures, whose pixels are black or untouched as here. Those of
    24 pixels cover 0.625 of their square (0.48 to 0.78), those of 32 pixels 0.541 (0.47 to 0.61).

    Returns
    -------
    ink : (size, size) bool
    """
    per_mille = round(1000 * share)
    reach = round(per_mille * _SPREAD)
    count = size * size * draws.between(per_mille - reach, per_mille + reach) // 1000
    away = 2 * np.arange(size) + 1 - size
    squares = away[:, np.newaxis] ** 2 + away**2
    # The three have the same scale: 2**14 times 1024 is the fall from the centre to an edge.
    field = -((squares << 24) // (size * size))
    field += _COARSE_WEIGHT * _smooth(draws, size, _COARSE_CELLS)
    field += _FINE_WEIGHT * _smooth(draws, size, size // _FINE_PIXELS)
    # No two ranks are equal: of equal pixels the earlier one is higher.
    pixels = np.arange(size * size)
    ranks = field * pixels.size - pixels.reshape(size, size)
    lowest = np.partition(ranks, pixels.size - count, axis=None)[pixels.size - count]
    ink: NDArray[np.bool_] = ranks >= lowest
    return ink


def _smooth(draws: Draws, size: int, cells: int) -> NDArray[np.int64]:
    """Return (size, size) noise in [0, 2**22), interpolated between (cells + 1)**2 numbers."""
    lattice = draws.levels((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    # In 128ths of a cell.
    position = (2 * np.arange(size) + 1) * cells * 64 // size
    cell, part = position >> 7, position & 127
    rows = lattice[cell] * (128 - part)[:, np.newaxis] + lattice[cell + 1] * part[:, np.newaxis]
    smooth: NDArray[np.int64] = rows[:, cell] * (128 - part) + rows[:, cell + 1] * part
    return smooth


def apply_marks(image: Image, marks: Sequence[Mark]) -> Image:
    """Return `image`, black under the ink of `marks`, which lie within it."""
    stained = image.copy()
    for x, y, ink in marks:
        stained[y : y + len(ink), x : x + len(ink)][ink] = 0
    return stained


KERNEL = Kernel(name="stain_deposit", severity=Severity, draw=draw, apply=one_by_one(apply))
