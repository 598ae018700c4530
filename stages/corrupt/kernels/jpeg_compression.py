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
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one

_LANES = 32
"""Blocks that are transformed together, one to a vector lane."""

# ITU-T T.81, tables K.1 and K.2: the steps at quality 50, by row and column of the transform.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 32),
)


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
        _compress(luma, steps(_LUMA, quality))
        restored[:, :, 0] = luma[:height, :width]
        return restored
    # Blue and red difference lie side by side and are compressed as one plane.
    chroma = np.empty((-(-height // 16) * 8, -(-width // 16) * 16), np.uint8)
    _to_planes(image, luma, chroma)
    _compress(luma, steps(_LUMA, quality))
    _compress(chroma, steps(_CHROMA, quality))
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
    _transform(blocks)
    _quantise(blocks, quantiser)
    _transform_back(blocks)
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


@compiled("void(int32[:, :, ::1])")
def _transform(blocks: NDArray[np.int32]) -> None:
    # libjpeg's jfdctint.c (Loeffler, Ligtenberg and Moschytz 1989, 13 fraction bits), rows and
    # then columns; each turn writes what it read transposed. The result is 8 times the transform.
    turned = np.empty((64, 32), np.int32)
    for n in range(blocks.shape[0]):
        for turn in range(2):
            source, out = (blocks[n], turned) if turn == 0 else (turned, blocks[n])
            shift = (11 + 4 * turn) & 31
            half = np.int32(1 << (shift - 1))
            for k in range(8):
                s = 8 * k
                for j in range(32):
                    d0, d7 = source[s, j], source[s + 7, j]
                    d1, d6 = source[s + 1, j], source[s + 6, j]
                    d2, d5 = source[s + 2, j], source[s + 5, j]
                    d3, d4 = source[s + 3, j], source[s + 4, j]
                    t0, t7 = np.int32(d0 + d7), np.int32(d0 - d7)
                    t1, t6 = np.int32(d1 + d6), np.int32(d1 - d6)
                    t2, t5 = np.int32(d2 + d5), np.int32(d2 - d5)
                    t3, t4 = np.int32(d3 + d4), np.int32(d3 - d4)
                    e0, e3 = np.int32(t0 + t3), np.int32(t0 - t3)
                    e1, e2 = np.int32(t1 + t2), np.int32(t1 - t2)
                    z1 = np.int32((e2 + e3) * 4433 + half)
                    out[k, j] = np.int32((e0 + e1) * 8192 + half) >> shift
                    out[32 + k, j] = np.int32((e0 - e1) * 8192 + half) >> shift
                    out[16 + k, j] = np.int32(z1 + e3 * 6270) >> shift
                    out[48 + k, j] = np.int32(z1 - e2 * 15137) >> shift
                    z5 = np.int32((t4 + t6 + t5 + t7) * 9633 + half)
                    z1 = np.int32((t4 + t7) * -7373)
                    z2 = np.int32((t5 + t6) * -20995)
                    z3 = np.int32((t4 + t6) * -16069 + z5)
                    z4 = np.int32((t5 + t7) * -3196 + z5)
                    out[56 + k, j] = np.int32(t4 * 2446 + z1 + z3) >> shift
                    out[40 + k, j] = np.int32(t5 * 16819 + z2 + z4) >> shift
                    out[24 + k, j] = np.int32(t6 * 25172 + z2 + z3) >> shift
                    out[8 + k, j] = np.int32(t7 * 12299 + z1 + z4) >> shift


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


@compiled("void(int32[:, :, ::1])")
def _transform_back(blocks: NDArray[np.int32]) -> None:
    # libjpeg's jidctint.c: columns and then rows, the result limited to grey levels.
    turned = np.empty((64, 32), np.int32)
    none, most = np.int32(0), np.int32(255)
    for n in range(blocks.shape[0]):
        for turn in range(2):
            source, out = (blocks[n], turned) if turn == 0 else (turned, blocks[n])
            shift = (11 + 7 * turn) & 31
            half = np.int32(1 << (shift - 1))
            for k in range(8):
                s = 8 * k
                for j in range(32):
                    d2, d6 = source[16 + k, j], source[48 + k, j]
                    z1 = np.int32((d2 + d6) * 4433)
                    t2, t3 = np.int32(z1 - d6 * 15137), np.int32(z1 + d2 * 6270)
                    t0 = np.int32((source[k, j] + source[32 + k, j]) * 8192 + half)
                    t1 = np.int32((source[k, j] - source[32 + k, j]) * 8192 + half)
                    e0, e3 = np.int32(t0 + t3), np.int32(t0 - t3)
                    e1, e2 = np.int32(t1 + t2), np.int32(t1 - t2)
                    t0, t1 = source[56 + k, j], source[40 + k, j]
                    t2, t3 = source[24 + k, j], source[8 + k, j]
                    z5 = np.int32((t0 + t2 + t1 + t3) * 9633)
                    z1 = np.int32((t0 + t3) * -7373)
                    z2 = np.int32((t1 + t2) * -20995)
                    z3 = np.int32((t0 + t2) * -16069 + z5)
                    z4 = np.int32((t1 + t3) * -3196 + z5)
                    o0, o1 = np.int32(t0 * 2446 + z1 + z3), np.int32(t1 * 16819 + z2 + z4)
                    o2, o3 = np.int32(t2 * 25172 + z2 + z3), np.int32(t3 * 12299 + z1 + z4)
                    out[s, j] = np.int32(e0 + o3) >> shift
                    out[s + 7, j] = np.int32(e0 - o3) >> shift
                    out[s + 1, j] = np.int32(e1 + o2) >> shift
                    out[s + 6, j] = np.int32(e1 - o2) >> shift
                    out[s + 2, j] = np.int32(e2 + o1) >> shift
                    out[s + 5, j] = np.int32(e2 - o1) >> shift
                    out[s + 3, j] = np.int32(e3 + o0) >> shift
                    out[s + 4, j] = np.int32(e3 - o0) >> shift
        group = blocks[n].reshape(-1)
        for j in range(group.size):
            group[j] = min(max(np.int32(group[j] + 128), none), most)


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
