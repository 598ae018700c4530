"""Pillow's blend of an image with one grey level, as its enhancers use it."""

from __future__ import annotations

import numpy as np

from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image


@compiled("void(Array(uint8, 1, 'C', True), float32, float32, uint8[::1])")
def blend(values: Image, level: float, factor: float, blended: Image) -> None:
    """Write level + factor (values - level), clipped and cut off. For compiled callers.

    The arithmetic is float32 in the order of Pillow's ``Blend.c``. There only a factor outside
    [0, 1] is clipped, but inside nothing can leave the range.
    """
    for i in range(values.size):
        value = level + factor * (np.float32(values[i]) - level)
        value = min(max(value, np.float32(0.0)), np.float32(255.0))
        blended[i] = np.uint8(np.int32(value))
