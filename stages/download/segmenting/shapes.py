"""Masks that annotation files give as polygons or as compressed run lengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError


def from_polygons(polygons: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the union of polygons, with their outlines, as bool (height, width).

    They are drawn by Pillow's `ImageDraw.polygon` on the coordinates as they are, which is how the
    authors of CheXlocalize make their masks.

    Parameters
    ----------
    polygons
        A list of polygons, each a list of points [x, y], pixels.
    size
        Height and width, pixels.

    Raises
    ------
    DataError
        When a polygon is no list of points.
    """
    from PIL import Image, ImageDraw

    height, width = size
    drawn = Image.new("1", (width, height))
    draw = ImageDraw.Draw(drawn)
    if not isinstance(polygons, list):
        message = f"polygons are a list, not {polygons!r}"
        raise DataError(message)
    for polygon in polygons:
        try:
            points = [(float(x), float(y)) for x, y in polygon]
            draw.polygon(points, fill=1, outline=1)
        except (TypeError, ValueError) as error:
            message = f"a polygon is no list of points [x, y]: {error}"
            raise DataError(message) from error
    # Straight from mode 1 the bytes of the array would be 0 and 255, which are no booleans.
    return np.array(drawn.convert("L")) > 0


def from_run_lengths(counts: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of run lengths down the columns as bool (height, width).

    The form is that of COCO: lengths alternate between background and foreground, beginning with
    background. Compressed (pycocotools `rleFrString`), a length from the fourth on is given as its
    difference to the one two before. Each number is written in groups of five bits, lowest first,
    each a character of code 48 or more; bit 5 says that more follow, bit 4 of the last is the sign.

    Raises
    ------
    DataError
        When the text is no such code, or the lengths do not fill the image.
    """
    height, width = size
    found = _lengths(counts) if isinstance(counts, str) else counts
    if not isinstance(found, list) or any(type(length) is not int for length in found):
        message = f"run lengths are a text or a list of numbers, not {counts!r}"
        raise DataError(message)
    if min(found, default=0) < 0 or sum(found) != height * width:
        message = f"run lengths of {sum(found)} pixels for an image of {height * width}"
        raise DataError(message)
    lengths = np.array(found, np.int64)
    values = np.arange(len(lengths)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, lengths).reshape(width, height).T)


def _lengths(code: str) -> list[int]:
    lengths: list[int] = []
    value, shift = 0, 0
    for character in code:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            message = f"run lengths hold the character {character!r}"
            raise DataError(message)
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(lengths) > 2:
            value += lengths[-2]
        lengths.append(value)
        value, shift = 0, 0
    if shift:
        message = "run lengths end in the middle of a number"
        raise DataError(message)
    return lengths


def size_of(declared: object) -> tuple[int, int]:
    """Return a size that an annotation file gives as [height, width].

    Raises
    ------
    DataError
        When it is something else.
    """
    if (
        not isinstance(declared, list)
        or len(declared) != 2
        or any(type(side) is not int or side < 1 for side in declared)
    ):
        message = f"a size is [height, width], not {declared!r}"
        raise DataError(message)
    return declared[0], declared[1]
