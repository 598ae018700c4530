"""The `pixels` encoder: 16x16 intensities.

The plainest thing that can be called an embedding, meant as the baseline of a demonstration. It
learns nothing and is sensitive by construction to brightness, contrast and position.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stages.embed.encoder import Embeddings, EqualImages
from stages.embed.handmade import Formula

SIZE: Final = 16
WIDTH: Final = SIZE * SIZE + 1
ALGORITHM: Final = 1
"""Raised by hand when embeddings change."""
PACKAGES: Final = ("cv2",)


def _describe(images: EqualImages) -> Embeddings:
    """Return 256 area-averaged intensities in 0..1, row by row, and a constant 1.

    The constant gives an all-black image, which is a legitimate image, a non-zero norm.
    """
    import cv2  # loaded by the encoders that need it

    embeddings = np.ones((len(images), WIDTH), np.float32)
    channels = images.shape[3]
    # The channels first: averages commute, and it leaves a third of the pixels to resize.
    total = images[..., 0].astype(np.uint16)
    for channel in range(1, channels):
        total += images[..., channel]
    for row, image in zip(embeddings, total.astype(np.float32), strict=True):
        row[:-1] = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA).ravel()
    embeddings[:, :-1] /= 255 * channels
    return embeddings


_FORMULA: Final = Formula(WIDTH, SIZE, ALGORITHM, _describe)
files, identity, load = _FORMULA.files, _FORMULA.identity, _FORMULA.load
