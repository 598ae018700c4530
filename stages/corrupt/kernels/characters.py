"""Characters: small random words in random colours, as labels burnt into a photograph."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.draws import Draws
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.noise import draw_key

# MedMNIST-C 0.1.0, `Characters`; scales in hundredths.
_FEWEST_LETTERS = 3
_SMALLEST_SCALE = 14
_MARGIN = 10
_LETTER_WIDTH = 8

_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_REACH = 125
"""Hundredths of a pixel from the middle of a stroke to where its ink ends."""

# Our own letters: advance to the next one, and strokes, each a line through points written as two
# numbers "x y". x runs right from where the letter begins and y up from the base line; small
# letters are 14 high, tall ones 21, and tails end at -7, the measures of OpenCV's fonts.
_GLYPHS: dict[str, tuple[int, tuple[str, ...]]] = {
    "a": (20, ("15 14 15 0", "15 9 13 13 9 14 5 12 4 7 5 2 9 0 13 1 15 5")),
    "b": (20, ("5 21 5 0", "5 9 7 13 11 14 15 12 16 7 15 2 11 0 7 1 5 5")),
    "c": (18, ("15 11 12 14 8 14 5 12 4 7 5 2 8 0 12 0 15 3",)),
    "d": (20, ("15 21 15 0", "15 9 13 13 9 14 5 12 4 7 5 2 9 0 13 1 15 5")),
    "e": (18, ("4 8 15 8 14 12 10 14 6 13 4 9 4 5 6 1 10 0 15 3",)),
    "f": (14, ("11 21 8 20 6 17 6 0", "3 14 10 14")),
    "g": (20, ("15 14 15 -2 14 -5 11 -7 8 -7 5 -6", "15 9 13 13 9 14 5 12 4 7 5 2 9 0 13 1 15 5")),
    "h": (20, ("5 21 5 0", "5 9 8 13 12 14 15 12 16 9 16 0")),
    "i": (9, ("5 14 5 0", "5 21 5 20")),
    "j": (9, ("5 14 5 -7 3 -7", "5 21 5 20")),
    "k": (19, ("5 21 5 0", "15 14 5 4", "9 8 16 0")),
    "l": (9, ("5 21 5 0",)),
    "m": (31, ("5 14 5 0", "5 9 8 13 11 14 14 13 16 9 16 0", "16 9 19 13 22 14 25 13 27 9 27 0")),
    "n": (20, ("5 14 5 0", "5 9 8 13 12 14 15 12 16 9 16 0")),
    "o": (19, ("8 14 5 12 4 7 5 2 8 0 11 0 14 2 15 7 14 12 11 14 8 14",)),
    "p": (20, ("5 14 5 -7", "5 9 7 13 11 14 15 12 16 7 15 2 11 0 7 1 5 5")),
    "q": (20, ("15 14 15 -7", "15 9 13 13 9 14 5 12 4 7 5 2 9 0 13 1 15 5")),
    "r": (14, ("5 14 5 0", "5 8 7 12 10 14 13 14")),
    "s": (17, ("14 11 12 14 7 14 4 12 5 9 12 6 14 4 12 1 8 0 4 2",)),
    "t": (11, ("6 21 6 2 8 0", "3 14 9 14")),
    "u": (20, ("5 14 5 5 6 1 9 0 12 0 15 4", "15 14 15 0")),
    "v": (16, ("3 14 8 0 13 14",)),
    "w": (24, ("4 14 8 0 12 14 16 0 20 14",)),
    "x": (18, ("4 14 15 0", "15 14 4 0")),
    "y": (16, ("3 14 8 0", "13 14 7 -4 4 -7 2 -7")),
    "z": (18, ("4 14 15 14 4 0 15 0",)),
}


class Severity(Declared):
    """Parameters of one severity."""

    max_words: Annotated[int, Field(ge=1, le=1000)]
    """Numbers of words are uniform from 1 to this."""

    max_letters: Annotated[int, Field(ge=_FEWEST_LETTERS, le=100)]
    """Words have from 3 to this many letters."""

    max_scale: Annotated[float, Field(ge=_SMALLEST_SCALE / 100, le=10.0)]
    """Scales are uniform from 0.14 to this, in hundredths; at 1 a small letter is 14 pixels high,
    a tall one 21."""


class Word(NamedTuple):
    """One word."""

    letters: str
    """From a to z."""

    x: int
    """Column where it begins."""

    y: int
    """Row of the base line."""

    scale: int
    """Hundredths."""

    colour: tuple[int, int, int]
    """0 to 255 for each channel; an image of one channel takes the first."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the three parameters and the ``noise_key`` of the words."""
    return {
        "max_words": severity.max_words,
        "max_letters": severity.max_letters,
        "max_scale": severity.max_scale,
        "noise_key": draw_key(stream),
    }


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` under the words of ``noise_key``."""
    drawn = draw_words(
        int(parameters["noise_key"]),
        int(parameters["max_words"]),
        int(parameters["max_letters"]),
        float(parameters["max_scale"]),
        image.shape,
    )
    return apply_words(image, drawn)


def draw_words(
    key: int, max_words: int, max_letters: int, max_scale: float, shape: tuple[int, ...]
) -> list[Word]:
    """Return the words of `key` in an image of `shape` (H, W, ...).

    The laws are those of MedMNIST-C 0.1.0. It keeps 10 pixels free at the left, above and below,
    and 8 pixels for each letter at the right. In an image too narrow for both, words begin where
    those for the letters do, at the left edge at most; there they may leave the image.
    """
    height, width = shape[:2]
    draws = Draws(key, 1 + max_words * (7 + max_letters))
    words = []
    for _ in range(draws.between(1, max_words)):
        count = draws.between(_FEWEST_LETTERS, max_letters)
        scale = draws.between(_SMALLEST_SCALE, round(max_scale * 100))
        letters = "".join(_LETTERS[draws.between(0, 25)] for _ in range(count))
        last = max(0, width - _LETTER_WIDTH * count)
        x = draws.between(min(_MARGIN, last), last)
        y = draws.between(_MARGIN, height - _MARGIN)
        colour = (draws.between(0, 255), draws.between(0, 255), draws.between(0, 255))
        words.append(Word(letters, x, y, scale, colour))
    return words


def apply_words(image: Image, words: Sequence[Word]) -> Image:
    """Return `image` under `words`, later ones above earlier ones.

    At a distance d from the middle of the nearest stroke ink covers 1 - (d / 1.25)**2 of a pixel,
    which gives small words the size and the amount of ink that OpenCV 4 gives them in its doubled
    font (FONT_HERSHEY_DUPLEX, smoothed, thickness 1). Neither its letters nor its bytes are
    copied: those of OpenCV 5 are others again.
    """
    strokes, starts, advances = _strokes()
    written = image.copy()
    for letters, x, y, scale, colour in words:
        codes = np.array([_LETTERS.index(letter) for letter in letters], np.int64)
        shades = np.array(colour, np.int64)
        _write(written, codes, x, y, scale, shades, strokes, starts, advances, _REACH)
    return written


@functools.lru_cache(maxsize=1)
def _strokes() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the table of letters as arrays, y running down.

    Returns
    -------
    strokes : (K, 4) int64
        x and y of both ends.
    starts : (27,) int64
        Where the strokes of each letter begin; the last one ends them.
    advances : (26,) int64
    """
    strokes: list[tuple[int, ...]] = []
    starts = [0]
    for letter in _LETTERS:
        for line in _GLYPHS[letter][1]:
            numbers = [int(number) for number in line.split()]
            points = list(zip(numbers[::2], (-y for y in numbers[1::2]), strict=True))
            strokes += [(*one, *other) for one, other in itertools.pairwise(points)]
        starts.append(len(strokes))
    advances = [_GLYPHS[letter][0] for letter in _LETTERS]
    return np.array(strokes, np.int64), np.array(starts, np.int64), np.array(advances, np.int64)


@compiled("void(int64[:, ::1], int64, int64, int64, int64, int64, int64)")
def _cover(
    cover: NDArray[np.int64], left: int, x0: int, y0: int, x1: int, y1: int, reach: int
) -> None:
    """Raise `cover` to what a stroke covers of each pixel.

    Positions are hundredths of a pixel; pixel centres lie at whole hundreds. Column 0 of `cover`
    is pixel column `left`. Of 255 a pixel at distance d is covered by 255 (1 - d**2 / reach**2).
    """
    height, width = cover.shape
    across, down = x1 - x0, y1 - y0
    length = across * across + down * down
    first_row, end_row = (min(y0, y1) - reach) // 100, (max(y0, y1) + reach) // 100 + 1
    first, end = (min(x0, x1) - reach) // 100, (max(x0, x1) + reach) // 100 + 1
    for row in range(max(0, first_row), min(height, end_row)):
        for column in range(max(0, first - left), min(width, end - left)):
            to_x, to_y = (column + left) * 100 - x0, row * 100 - y0
            along = to_x * across + to_y * down
            if along <= 0:
                squared = to_x * to_x + to_y * to_y
            elif along >= length:
                squared = (to_x - across) ** 2 + (to_y - down) ** 2
            else:
                off = to_x * down - to_y * across
                squared = off * off // length
            covered = 255 - 255 * squared // (reach * reach)
            cover[row, column] = max(cover[row, column], covered)


@compiled(
    "void(uint8[:, :, ::1], Array(int64, 1, 'C', True), int64, int64, int64,"
    " Array(int64, 1, 'C', True), Array(int64, 2, 'C', True), Array(int64, 1, 'C', True),"
    " Array(int64, 1, 'C', True), int64)"
)
def _write(
    written: Image,
    codes: NDArray[np.int64],
    x: int,
    y: int,
    scale: int,
    shades: NDArray[np.int64],
    strokes: NDArray[np.int64],
    starts: NDArray[np.int64],
    advances: NDArray[np.int64],
    reach: int,
) -> None:
    height, width, channels = written.shape
    # Rows and columns of the word; tall letters rise 21 units above the base line.
    top, bottom = max(0, y - (21 * scale + 200) // 100), min(height, y + (7 * scale + 300) // 100)
    total = 0
    for code in codes:
        total += advances[code]
    left, right = max(0, x - 2), min(width, x + (total * scale + 300) // 100)
    if top >= bottom or left >= right:
        return
    cover = np.zeros((bottom - top, right - left), np.int64)
    begin, base = x * 100, (y - top) * 100
    for code in codes:
        for k in range(starts[code], starts[code + 1]):
            x0, y0 = begin + strokes[k, 0] * scale, base + strokes[k, 1] * scale
            x1, y1 = begin + strokes[k, 2] * scale, base + strokes[k, 3] * scale
            _cover(cover, left, x0, y0, x1, y1, reach)
        begin += advances[code] * scale
    for row in range(cover.shape[0]):
        for column in range(cover.shape[1]):
            ink = cover[row, column]
            for c in range(channels):
                level = np.int64(written[top + row, left + column, c])
                mixed = (level * (255 - ink) + shades[c] * ink + 127) // 255
                written[top + row, left + column, c] = np.uint8(mixed)


KERNEL = Kernel(name="characters", severity=Severity, draw=draw, apply=one_by_one(apply))
