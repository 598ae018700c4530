"""The colour of a region by name, and how its brightness differs from its surroundings'."""

from __future__ import annotations

import math
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.prompt.measure.runs import Numbered

Rgb: TypeAlias = tuple[int, int, int]

COLOURS: dict[str, tuple[Rgb, ...]] = {
    "white": ((255, 255, 255), (245, 245, 245)),  # white, whitesmoke
    "gray": ((128, 128, 128), (105, 105, 105), (169, 169, 169), (192, 192, 192), (211, 211, 211)),
    "black": ((0, 0, 0),),
    # red, crimson, firebrick, brown, darkred
    "red": ((255, 0, 0), (220, 20, 60), (178, 34, 34), (165, 42, 42), (139, 0, 0)),
    # pink, lightpink, hotpink, palevioletred, lightcoral, salmon, rosybrown, indianred
    "pink": (
        (255, 192, 203), (255, 182, 193), (255, 105, 180), (219, 112, 147), (240, 128, 128),
        (250, 128, 114), (188, 143, 143), (205, 92, 92),
    ),
    "orange": ((255, 165, 0), (255, 140, 0), (255, 127, 80)),  # orange, darkorange, coral
    "yellow": ((255, 255, 0), (255, 215, 0), (240, 230, 140)),  # yellow, gold, khaki
    # saddlebrown, sienna, peru
    "brown": ((139, 69, 19), (160, 82, 45), (205, 133, 63)),
    "tan": ((210, 180, 140), (222, 184, 135)),  # tan, burlywood
    "beige": ((245, 245, 220), (245, 222, 179)),  # beige, wheat
    # green, lime, darkgreen, seagreen, olivedrab, lightgreen
    "green": (
        (0, 128, 0), (0, 255, 0), (0, 100, 0), (46, 139, 87), (107, 142, 35), (144, 238, 144),
    ),
    # blue, navy, royalblue, steelblue, deepskyblue, lightblue, cyan, teal
    "blue": (
        (0, 0, 255), (0, 0, 128), (65, 105, 225), (70, 130, 180), (0, 191, 255),
        (173, 216, 230), (0, 255, 255), (0, 128, 128),
    ),
    # purple, indigo, darkorchid, mediumpurple, orchid, plum, thistle
    "purple": (
        (128, 0, 128), (75, 0, 130), (153, 50, 204), (147, 112, 219), (218, 112, 214),
        (221, 160, 221), (216, 191, 216),
    ),
}  # fmt: skip
"""Reference values by name, sRGB 0 to 255: named colours of CSS Color Module Level 4."""

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Of linear sRGB (IEC 61966-2-1, white D65)."""
RING_SHARE, SMALLEST_RING = 0.1, 2
"""Width of the surroundings over the equivalent diameter, and the least of it in pixels."""


def colour_name(rgb: tuple[float, float, float]) -> str:
    """Return the name of the reference colour that is nearest in CIELAB (CIE 1976, D65).

    Parameters
    ----------
    rgb : tuple of float
        sRGB, 0 to 255. Of equally near names the first of `COLOURS` is taken.
    """
    return colour_names(np.array([rgb]))[0]


def colour_names(rgb: NDArray[np.float64]) -> list[str]:
    """Return the names of colours, (n, 3), as `colour_name` does."""
    names, references = _references()
    distances = ((_lab(rgb)[:, None] - references) ** 2).sum(axis=2)
    return [names[n] for n in distances.argmin(axis=1)]


def looks(
    image: NDArray[np.uint8],
    outside: NDArray[np.uint8],
    numbered: Numbered,
    boxes: list[list[int]],
    diameters: list[float],
) -> tuple[list[str | None], list[float | None]]:
    """Return the colour and the contrast of each region, as `Region` describes them.

    The gray level of a colour is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601).

    The surroundings of a region are the pixels outside of all foreground that lie within `reach`
    of it, sideways and up or down.

    Parameters
    ----------
    image : ndarray of uint8 (H, W, 1 or 3)
        Gray if it has one channel or three equal ones.
    outside : ndarray of uint8 (H, W)
        255 outside of the foreground, else 0.
    numbered : Numbered
    boxes : list of list of int
        Left, top, right, bottom of each region.
    diameters : list of float
        Equivalent diameters, pixels.
    """
    import cv2

    coloured = image.shape[2] == 3 and not is_gray(image)
    pixels = image if coloured else image[:, :, 0]
    means = np.zeros((len(boxes), 2, 4))
    alone = set()
    for n, (box, diameter) in enumerate(zip(boxes, diameters, strict=True)):
        left, top, right, bottom = box
        mask = numbered.inside(n + 1, box).view(np.uint8)
        x, y, ring = _ring(mask, box, reach(diameter), outside)
        height, width = ring.shape
        means[n] = (
            cv2.mean(pixels[top:bottom, left:right], mask),
            cv2.mean(pixels[y : y + height, x : x + width], ring),
        )
        # A mean of 0 is that of no pixel or of black ones.
        if not means[n, 1].any() and not cv2.countNonZero(ring):
            alone.add(n)
    red, green, blue = (means[:, :, channel] for channel in range(3))
    gray = (299 * red + 587 * green + 114 * blue) / 1000 if coloured else red
    contrasts = (gray[:, 0] - gray[:, 1]).tolist()
    colours = colour_names(means[:, 0, :3]) if coloured else [None] * len(boxes)
    return list(colours), [None if n in alone else one for n, one in enumerate(contrasts)]


def reach(diameter: float) -> int:
    """Return how far the surroundings of a region of an equivalent diameter reach, pixels."""
    return max(SMALLEST_RING, math.floor(RING_SHARE * diameter + 0.5))


def is_gray(image: NDArray[np.uint8]) -> bool:
    """Return whether all channels of an image are equal."""
    first = image[:, :, :1]
    # One row tells nearly every photograph apart.
    middle = image.shape[0] // 2
    if (image[middle] != first[middle]).any():
        return False
    return not (image != first).any()


def _ring(
    mask: NDArray[np.uint8], box: list[int], width: int, outside: NDArray[np.uint8]
) -> tuple[int, int, NDArray[np.uint8]]:
    """Return column, row and the pixels (not 0) of the surroundings of a region."""
    import cv2

    left, top, right, bottom = box
    x, y = max(left - width, 0), max(top - width, 0)
    free = outside[y : bottom + width, x : right + width]
    below, beyond = y + free.shape[0] - bottom, x + free.shape[1] - right
    wide = cv2.copyMakeBorder(mask, top - y, below, left - x, beyond, cv2.BORDER_CONSTANT, value=0)
    side = 2 * width + 1
    cv2.dilate(wide, cv2.getStructuringElement(cv2.MORPH_RECT, (side, side)), wide)
    return x, y, cv2.bitwise_and(wide, free)


@cache
def _references() -> tuple[list[str], NDArray[np.float64]]:
    names = [name for name, values in COLOURS.items() for _ in values]
    values = [value for values in COLOURS.values() for value in values]
    return names, _lab(np.array(values, np.float64))


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return L*, a*, b* of sRGB colours, (n, 3)."""
    level = rgb / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    ratio = (linear @ _TO_XYZ.T) / _TO_XYZ.sum(axis=1)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
