"""Contact sheets: a few samples under many corruptions, drawn as one picture with labels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import Image

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

TILE = 224
"""Largest side of a tile in pixels; smaller images are enlarged by the whole factor that fits."""
LABEL = 280
"""Pixels left of the tiles, for the labels of rows."""
TOP = 84
"""Pixels above the tiles, for the title and the labels of columns."""
_GAP = 8
_SMALLEST = 150  # leaves room for a column's name
_TEXT = 17
_TITLE = 24
_LEADING = 1.35


@dataclass(frozen=True)
class Row:
    """Tiles that stand side by side."""

    labels: tuple[str, ...]
    """Lines beside the tiles; the first is the row's name."""
    tiles: tuple[Image | None, ...]
    """One per column, (H, W, C) uint8 with C = 1 or 3; None leaves the place empty."""


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet shows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @cached_property
    def pitch(self) -> int:
        """Pixels from one tile to the next, in both directions."""
        images = [image for row in self.rows for image in row.tiles if image is not None]
        sides = [round(int(max(image.shape[:2])) * magnification(image)) for image in images]
        return max([_SMALLEST, *sides]) + _GAP

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        x, y = self.place(len(self.rows), len(self.columns))
        return x + _GAP, y + _GAP

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return x and y of the upper left pixel of a tile."""
        return LABEL + column * self.pitch, TOP + row * self.pitch


def shown(image: Image) -> Image:
    """Return `image` as a tile shows it.

    Returns
    -------
    tile : (H', W', 3) uint8, sides of at most `TILE`
        Every pixel repeated in a square block, so that ``tile[::k, ::k]`` is the image, k being
        `magnification`; an image larger than a tile is reduced by Pillow's box filter instead.
    """
    from PIL import Image as Pictures

    coloured = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    factor = magnification(image)
    if factor >= 1:
        return coloured.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    reduced = Pictures.fromarray(coloured).resize((width, height), Pictures.Resampling.BOX)
    return np.asarray(reduced)


def magnification(image: Image) -> float:
    """Return by how much a tile enlarges an image: a whole number, or less than 1."""
    side = max(image.shape[:2])
    return float(TILE // side) if side <= TILE else TILE / side


def encode(sheet: Sheet) -> bytes:
    """Return a sheet as PNG; the same bytes with the same version of Pillow."""
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    picture = Pictures.new("RGB", sheet.size, "white")
    draw = ImageDraw.Draw(picture)
    text, title = (ImageFont.load_default(size) for size in (_TEXT, _TITLE))
    draw.text((_GAP, _GAP), sheet.title, "black", title)
    for column, name in enumerate(sheet.columns):
        x, y = sheet.place(0, column)
        draw.text((x + (sheet.pitch - _GAP) // 2, y - _GAP), name, "black", text, anchor="ms")
    for number, row in enumerate(sheet.rows):
        _write(draw, row.labels, sheet.place(number, 0)[1], text)
        for column, image in enumerate(row.tiles):
            if image is not None:
                picture.paste(Pictures.fromarray(shown(image)), sheet.place(number, column))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _write(
    draw: ImageDraw.ImageDraw, labels: tuple[str, ...], y: int, font: ImageFont.FreeTypeFont
) -> None:
    """Write the labels of a row from height `y` down, the first in black."""
    step = round(_TEXT * _LEADING)
    colour = "black"
    for label in labels:
        for line in _wrapped(label, font, LABEL - 2 * _GAP):
            draw.text((_GAP, y), line, colour, font)
            y += step
        colour = "dimgray"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    """Yield `text` in lines of at most `width` pixels, broken at spaces where there are any."""
    while font.getlength(text) > width:
        end = next(
            n for n in range(len(text), 0, -1) if n == 1 or font.getlength(text[:n]) <= width
        )
        end = text.rfind(" ", 1, end + 1) if " " in text[1 : end + 1] else end
        yield text[:end]
        text = text[end:].lstrip()
    yield text
