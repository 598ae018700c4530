"""JPEG compression: what a JPEG file of low quality keeps of the image.

The lossy half of a baseline JPEG file with halved colour resolution (4:2:0), in whole numbers:
the colour space, the sampling, the "islow" transforms and the tables are those of the Independent
JPEG Group's library, so the bytes are those of Pillow with libjpeg-turbo. The lossless half, the
entropy code, is left out.
"""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.cosine_transform import transform, transform_back
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one

_LANES = 32
"""Blocks that are transformed together, one to a vector lane."""

LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of the quantiser for luminance at quality 50, by row and column of the transform (ITU-T \
T.81, table K.1)."""

CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 32),
)
"""Those for the two colour differences (ITU-T T.81, table K.2)."""


class Severity(Declared):
    """Parameters of one severity."""

    quality: Annotated[int, Field(ge=1, le=100)]
    """Quality of the JPEG file, on libjpeg's scale."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``quality``: nothing is random."""
    return {"quality": severity.quality}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` as a JPEG file of ``quality`` gives it back."""
    height, width, channels = image.shape
    quality = int(parameters["quality"])
    restored = np.empty_like(image)
    luma = np.empty((-(-height // 8) * 8, -(-width // 8) * 8), np.uint8)
    if channels == 1:
        _pad(image[:, :, 0], luma)
        _compress(luma, steps(LUMA, quality))
        restored[:, :, 0] = luma[:height, :width]
        return restored
    # Blue and red difference lie side by side and are compressed as one plane.
    chroma = np.empty((-(-height // 16) * 8, -(-width // 16) * 16), np.uint8)
    _to_planes(image, luma, chroma)
    _compress(luma, steps(LUMA, quality))
    _compress(chroma, steps(CHROMA, quality))
    _to_colours(luma, chroma, restored)
    return restored


@functools.lru_cache(maxsize=64)
def steps(table: tuple[int, ...], quality: int) -> NDArray[np.int32]:
    """Return the quantiser's steps at `quality` (libjpeg's `jpeg_set_quality`, baseline).

    Returns
    -------
    steps : (64,) int32, read-only
        1 to 255.
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = np.array([min(max((entry * percent + 50) // 100, 1), 255) for entry in table])
    scaled = scaled.astype(np.int32)
    scaled.setflags(write=False)
    return scaled


def _pad(gray: Image, luma: Image) -> None:
    height, width = gray.shape
    luma[:height, :width] = gray
    luma[:height, width:] = gray[:, -1:]
    luma[height:] = luma[height - 1]


def _compress(plane: Image, quantiser: NDArray[np.int32]) -> None:
    """Replace every 8×8 block of `plane` by what the quantiser keeps of it."""
    groups = -(-plane.size // (64 * _LANES))
    blocks = scratch.words(groups * 64 * _LANES).view(np.int32).reshape(groups, 64, _LANES)
    blocks[-1] = 0
    _split(plane, blocks)
    transform(blocks)
    _quantise(blocks, quantiser)
    transform_back(blocks)
    _join(blocks, plane)


@compiled("void(Array(uint8, 3, 'C', True), uint8[:, ::1], uint8[:, ::1])")
def _to_planes(image: Image, luma: Image, chroma: Image) -> None:
    height, width, _ = image.shape
    padded, across = luma.shape[1], chroma.shape[1] // 2
    red, green, blue = (
        np.empty(width, np.int32),
        np.empty(width, np.int32),
        np.empty(width, np.int32),
    )
    # Sums of two rows; the last column is repeated to fill the last blocks.
    cb, cr = np.empty(2 * across, np.int32), np.empty(2 * across, np.int32)
    half = np.int32((1 << 15) - 1 + (128 << 16))
    rows = (height + 1) // 2
    for pair in range(rows):
        cb[:] = np.int32(0)
        cr[:] = np.int32(0)
        for odd in range(2):
            y = min(2 * pair + odd, height - 1)
            source, out = image[y], luma[y]
            for x in range(width):
                red[x] = np.int32(source[x, 0])
                green[x] = np.int32(source[x, 1])
                blue[x] = np.int32(source[x, 2])
            for x in range(width):
                r, g, b = red[x], green[x], blue[x]
                out[x] = np.uint8(np.int32(19595 * r + 38470 * g + 7471 * b + 32768) >> 16)
                cb[x] += np.int32(32768 * b - 11059 * r - 21709 * g + half) >> 16
                cr[x] += np.int32(32768 * r - 27439 * g - 5329 * b + half) >> 16
            out[width:padded] = out[width - 1]
        cb[width:] = cb[width - 1]
        cr[width:] = cr[width - 1]
        to_blue, to_red = chroma[pair, :across], chroma[pair, across:]
        for x in range(across):
            # libjpeg alternates the rounding, so that it favours neither side.
            bias = np.int32(1 + (x & 1))
            to_blue[x] = np.uint8(np.int32(cb[2 * x] + cb[2 * x + 1] + bias) >> 2)
            to_red[x] = np.uint8(np.int32(cr[2 * x] + cr[2 * x + 1] + bias) >> 2)
    luma[height:] = luma[height - 1]
    chroma[rows:] = chroma[rows - 1]


@compiled("void(Array(uint8, 2, 'C', True), int32[:, :, ::1])")
def _split(plane: Image, blocks: NDArray[np.int32]) -> None:
    across = plane.shape[1] // 8
    for y in range(plane.shape[0]):
        row = plane[y]
        for bx in range(across):
            block = (y >> 3) * across + bx
            group, lane = blocks[block >> 5], block & 31
            for x in range(8):
                group[(y & 7) * 8 + x, lane] = np.int32(row[bx * 8 + x]) - np.int32(128)


@compiled("void(Array(int32, 3, 'C', True), uint8[:, ::1])")
def _join(blocks: NDArray[np.int32], plane: Image) -> None:
    across = plane.shape[1] // 8
    for y in range(plane.shape[0]):
        row = plane[y]
        for bx in range(across):
            block = (y >> 3) * across + bx
            group, lane = blocks[block >> 5], block & 31
            for x in range(8):
                row[bx * 8 + x] = np.uint8(group[(y & 7) * 8 + x, lane])


@compiled("void(int32[:, :, ::1], Array(int32, 1, 'C', True))")
def _quantise(blocks: NDArray[np.int32], quantiser: NDArray[np.int32]) -> None:
    for n in range(blocks.shape[0]):
        for k in range(64):
            step = quantiser[k]
            divisor = np.float32(8 * step)
            half = np.int32(4 * step)
            row = blocks[n, k]
            for j in range(32):
                # Below 2**16 the float quotient never reaches a whole number that it is short of.
                size = np.int32(np.float32(np.int32(abs(row[j]) + half)) / divisor)
                row[j] = np.int32((size if row[j] >= 0 else np.int32(-size)) * step)


@compiled(
    "void(Array(uint8, 2, 'C', True), Array(uint8, 2, 'C', True), uint8[:, :, ::1])",
)
def _to_colours(luma: Image, chroma: Image, image: Image) -> None:
    height, width, _ = image.shape
    rows, across = (height + 1) // 2, (width + 1) // 2
    sums = np.empty(across + 2, np.int32)
    planes = np.empty((2, 2 * across), np.int32)
    red, green, blue = (
        np.empty(width, np.uint8),
        np.empty(width, np.uint8),
        np.empty(width, np.uint8),
    )
    none, most = np.int32(0), np.int32(255)
    for y in range(height):
        # Colours are interpolated between the nearest and the next sample with weights 3 and 1
        # in both directions (libjpeg's "fancy" upsampling); the outermost samples are repeated.
        near = y // 2
        far = min(max(near + 2 * (y & 1) - 1, 0), rows - 1)
        for c in range(2):
            start = c * (chroma.shape[1] // 2)
            nearer, farther, plane = chroma[near, start:], chroma[far, start:], planes[c]
            for x in range(across):
                sums[x + 1] = np.int32(3 * np.int32(nearer[x]) + np.int32(farther[x]))
            sums[0], sums[across + 1] = sums[1], sums[across]
            for x in range(across):
                plane[2 * x] = np.int32(3 * sums[x + 1] + sums[x] - 2040) >> 4
                plane[2 * x + 1] = np.int32(3 * sums[x + 1] + sums[x + 2] - 2041) >> 4
        row, out = luma[y], image[y]
        cb, cr = planes[0], planes[1]
        for x in range(width):
            v, b, r = np.int32(row[x]), cb[x], cr[x]
            new_r = np.int32(v + (np.int32(91881 * r + 32768) >> 16))
            new_g = np.int32(v + (np.int32(32768 - 22554 * b - 46802 * r) >> 16))
            new_b = np.int32(v + (np.int32(116130 * b + 32768) >> 16))
            red[x] = np.uint8(min(max(new_r, none), most))
            green[x] = np.uint8(min(max(new_g, none), most))
            blue[x] = np.uint8(min(max(new_b, none), most))
        for x in range(width):
            out[x, 0] = red[x]
            out[x, 1] = green[x]
            out[x, 2] = blue[x]


KERNEL = Kernel(name="jpeg_compression", severity=Severity, draw=draw, apply=one_by_one(apply))
