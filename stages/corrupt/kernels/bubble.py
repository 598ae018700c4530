"""Bubble: white half-transparent disks with a brighter rim, as air under a cover slip."""

from __future__ import annotations

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

# MedMNIST-C 0.1.0, `Bubble`.
_FEWEST = 7
_SMALLEST_RADIUS = 3


class Severity(Declared):
    """Parameters of one severity."""

    max_radius: Annotated[int, Field(ge=_SMALLEST_RADIUS, le=4096)]
    """Pixels; radii are uniform from 3 to this, but at most half the smaller side."""

    max_bubbles: Annotated[int, Field(ge=_FEWEST, le=10_000)]
    """Numbers of bubbles are uniform from 7 to this."""


class Bubble(NamedTuple):
    """One bubble, in pixels."""

    x: int
    y: int
    radius: int
    """Of the disk without its rim of 2 pixels."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``max_radius``, ``max_bubbles`` and the ``noise_key`` of the bubbles."""
    return {
        "max_radius": severity.max_radius,
        "max_bubbles": severity.max_bubbles,
        "noise_key": draw_key(stream),
    }


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` under the bubbles of ``noise_key``."""
    drawn = draw_bubbles(
        int(parameters["noise_key"]),
        int(parameters["max_radius"]),
        int(parameters["max_bubbles"]),
        image.shape,
    )
    return apply_bubbles(image, drawn)


def draw_bubbles(
    key: int, max_radius: int, max_bubbles: int, shape: tuple[int, ...]
) -> list[Bubble]:
    """Return the bubbles of `key` in an image of `shape` (H, W, ...).

    The laws are those of MedMNIST-C 0.1.0 with two repairs. It takes x from the height and y from
    the width, which only square images forgive; and a radius above half a side leaves it no
    place for the centre, so radii are limited to that here.
    """
    height, width = shape[:2]
    draws = Draws(key, 1 + 3 * max_bubbles)
    largest = min(max_radius, height // 2, width // 2)
    bubbles = []
    for _ in range(draws.between(_FEWEST, max_bubbles)):
        radius = draws.between(_SMALLEST_RADIUS, largest)
        x = draws.between(radius, width - radius)
        bubbles.append(Bubble(x, draws.between(radius, height - radius), radius))
    return bubbles


def apply_bubbles(image: Image, bubbles: Sequence[Bubble]) -> Image:
    """Return `image` under `bubbles`, a later one hiding what it covers of an earlier one.

    The bytes are those of Pillow 10.3 to 13.0 (`ImageDraw.ellipse` and `Image.paste`).
    """
    bubbled = image.copy()
    _cover(np.array(bubbles, np.int64).reshape(-1, 3), bubbled)
    return bubbled


@compiled("void(int64, int64[::1])")
def _fill_half_widths(radius: int, half_widths: NDArray[np.int64]) -> None:
    """Set for each distance 0 to `radius` from a disk's middle row how far the row reaches.

    The outline walks from (radius, 0) to (0, radius), each time to that pixel above, to the upper
    left or left which is nearest to the circle by x**2 + y**2; of equals, to the first of these.
    """
    x, y = radius, 0
    half_widths[0] = radius
    while y < radius:
        above = abs(x * x + (y + 1) * (y + 1) - radius * radius)
        corner = abs((x - 1) * (x - 1) + (y + 1) * (y + 1) - radius * radius)
        left = abs((x - 1) * (x - 1) + y * y - radius * radius)
        if x > 0 and left < above and left < corner:
            x -= 1
            continue
        if x > 0 and corner < above:
            x -= 1
        y += 1
        half_widths[y] = x


@compiled("void(uint8[:, ::1], int64, int64, int64, int64, int64[::1])")
def _fill_disk(
    opacity: NDArray[np.uint8],
    x: int,
    y: int,
    radius: int,
    value: int,
    half_widths: NDArray[np.int64],
) -> None:
    height, width = opacity.shape
    _fill_half_widths(radius, half_widths)
    for row in range(max(0, y - radius), min(height, y + radius + 1)):
        half = half_widths[abs(row - y)]
        first, end = max(0, x - half), max(0, min(width, x + half + 1))
        opacity[row, first:end] = np.uint8(value)


@compiled("void(Array(int64, 2, 'C', True), uint8[:, :, ::1])")
def _cover(bubbles: NDArray[np.int64], bubbled: Image) -> None:
    height, width, channels = bubbled.shape
    opacity = np.zeros((height, width), np.uint8)
    largest = 0
    for n in range(bubbles.shape[0]):
        largest = max(largest, bubbles[n, 2] + 2)
    half_widths = np.empty(largest + 1, np.int64)
    for n in range(bubbles.shape[0]):
        x, y, radius = bubbles[n, 0], bubbles[n, 1], bubbles[n, 2]
        _fill_disk(opacity, x, y, radius + 2, 130, half_widths)
        _fill_disk(opacity, x, y, radius, 100, half_widths)
    for row in range(height):
        for column in range(width):
            share = np.int32(opacity[row, column])
            if share == 0:
                continue
            for c in range(channels):
                # Division by 255, rounded to the nearest (Pillow's `BLEND`).
                level = np.int32(bubbled[row, column, c])
                total = np.int32(level * (255 - share) + 255 * share + 128)
                bubbled[row, column, c] = np.uint8(((total >> 8) + total) >> 8)


KERNEL = Kernel(name="bubble", severity=Severity, draw=draw, apply=one_by_one(apply))
