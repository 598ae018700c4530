"""Elastic transform: pixels displaced by a smooth random field."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import gaussian_filter, scratch
from stages.corrupt.kernels.borders import reflected
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.noise import draw_key, random_words

TRUNCATE = 3.0
"""The weights of the smoothing end at this many standard deviations."""


class Severity(Declared):
    """Parameters of one severity."""

    strength: Annotated[float, Field(gt=0.0, le=1000.0)]
    """The smoothed displacements are multiplied by this."""

    reach: Annotated[float, Field(gt=0.0, le=0.1)]
    """Largest displacement before the smoothing, as a share of the height."""

    smoothing: Annotated[float, Field(ge=0.001, le=0.1)]
    """Standard deviation of the smoothing along each axis, as a share of the image's side."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity` and the ``noise_key`` of the displacements."""
    return {
        "strength": severity.strength,
        "reach": severity.reach,
        "smoothing": severity.smoothing,
        "noise_key": draw_key(stream),
    }


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` displaced by the random field of `parameters`."""
    fields = scratch.floats((4, *image.shape[:2]))
    draw_field(int(parameters["noise_key"]), fields[:2])
    return _displaced(image, fields, parameters)


def draw_field(key: int, field: NDArray[np.float32]) -> None:
    """Fill `field`, of shape (2, H, W), with independent numbers uniform in [-1, 1]."""
    _uniform(random_words(key, field.size), field.reshape(-1))


def apply_field(image: Image, field: NDArray[np.float32], parameters: Parameters) -> Image:
    """Return `image` with its pixels displaced by `field`, bilinear, truncated.

    As in `imagecorruptions`: displacements along both axes are shares of the height, and the
    image is mirrored at its edges (b a|a b).

    Parameters
    ----------
    image : (H, W, C) uint8
    field : (2, H, W) float32
        Displacements along columns and along rows before the smoothing, in [-1, 1]; 1 is
        ``reach`` times the height.
    parameters : Parameters
        ``strength``, ``reach`` and ``smoothing``.
    """
    fields = scratch.floats((4, *field.shape[1:]))
    fields[:2] = field
    return _displaced(image, fields, parameters)


def _displaced(image: Image, fields: NDArray[np.float32], parameters: Parameters) -> Image:
    """Displace `image` by ``fields[:2]``, smoothed into ``fields[2:]``."""
    height, width, _ = image.shape
    smoothing = float(parameters["smoothing"])
    sigmas = smoothing * height, smoothing * width
    for axis in range(2):
        gaussian_filter.smooth(
            fields[axis], 1, sigmas, fields[axis + 2], truncate=TRUNCATE, border=reflected
        )
    pixels = float(parameters["strength"]) * (float(parameters["reach"]) * height)
    displaced = np.empty_like(image)
    _sample(image, fields[2], fields[3], pixels, displaced)
    return displaced


@compiled("void(Array(uint32, 1, 'C', True), float32[::1])")
def _uniform(words: NDArray[np.uint32], field: NDArray[np.float32]) -> None:
    step = np.float32(2.0**-31)
    for i in range(words.size):
        field[i] = np.float32(np.int32(words[i])) * step


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(float32, 2, 'C', True),"
    " Array(float32, 2, 'C', True), float32, uint8[:, :, ::1])"
)
def _sample(
    image: Image,
    along: NDArray[np.float32],
    down: NDArray[np.float32],
    pixels: float,
    displaced: Image,
) -> None:
    height, width, channels = image.shape
    guard = np.float32(2.0**-9)  # rounding errors must not carry a flat area below its level
    for y in range(height):
        for x in range(width):
            shift_x, shift_y = along[y, x] * pixels, down[y, x] * pixels
            whole_x, whole_y = np.floor(shift_x), np.floor(shift_y)
            part_x, part_y = shift_x - whole_x, shift_y - whole_y
            left, top = x + np.int64(whole_x), y + np.int64(whole_y)
            right, bottom = left + 1, top + 1
            if left < 0 or right >= width:
                left, right = left % (2 * width), right % (2 * width)
                left = min(left, 2 * width - 1 - left)
                right = min(right, 2 * width - 1 - right)
            if top < 0 or bottom >= height:
                top, bottom = top % (2 * height), bottom % (2 * height)
                top = min(top, 2 * height - 1 - top)
                bottom = min(bottom, 2 * height - 1 - bottom)
            for c in range(channels):
                upper_left = np.float32(image[top, left, c])
                lower_left = np.float32(image[bottom, left, c])
                upper = upper_left + part_x * (np.float32(image[top, right, c]) - upper_left)
                lower = lower_left + part_x * (np.float32(image[bottom, right, c]) - lower_left)
                value = upper + part_y * (lower - upper) + guard
                displaced[y, x, c] = np.uint8(np.int32(value))


KERNEL = Kernel(
    name="elastic_transform",
    severity=Severity,
    draw=draw,
    apply=one_by_one(apply),
    moves_masks=True,
)
