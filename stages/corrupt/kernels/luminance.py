"""The luminance of coloured images, as Pillow converts RGB to L."""

from __future__ import annotations

import numpy as np

from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Images


def luminance(images: Images) -> Images:
    """Return the luminance of each pixel, (N, H, W, 1) uint8: see `luminance_of`.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
    """
    gray = np.empty((*images.shape[:3], 1), np.uint8)
    _to_luminance(np.ascontiguousarray(images).reshape(-1, 3), gray.reshape(-1))
    return gray


@compiled("uint8(uint8, uint8, uint8)")
def luminance_of(red: int, green: int, blue: int) -> np.uint8:
    """Return (19595 R + 38470 G + 7471 B + 2**15) / 2**16, cut off. For compiled callers.

    The weights are those of Pillow (``Convert.c``) and of ITU-R BT.601; equal channels keep their
    level.
    """
    weighted = 19595 * np.int32(red) + 38470 * np.int32(green) + 7471 * np.int32(blue)
    return np.uint8((weighted + 32768) >> 16)


@compiled("void(Array(uint8, 2, 'C', True), uint8[::1])")
def _to_luminance(pixels: Images, gray: Images) -> None:
    for i in range(pixels.shape[0]):
        gray[i] = luminance_of(pixels[i, 0], pixels[i, 1], pixels[i, 2])
