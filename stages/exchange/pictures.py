"""Images as PNG files: without loss, and readable by everything."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

_EFFORT = 4
"""Of zlib, 0 to 9: more takes much longer and saves a few per cent."""


def png(image: NDArray[np.uint8]) -> bytes:
    """Return a uint8 image (H, W), (H, W, 1) or (H, W, 3) as the bytes of a PNG."""
    from PIL import Image

    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    memory = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(flat)).save(memory, "PNG", compress_level=_EFFORT)
    return memory.getvalue()
