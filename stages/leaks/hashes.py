"""Perceptual hashes of images and of their centres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Hashes: TypeAlias = NDArray[np.uint64]
BITS: Final = 64
WHOLE: Final = (1.0,)
CENTRES: Final = (1.0, 0.9, 0.8, 0.7, 0.625, 0.555)
"""Shares of both sides of the centres that are hashed where collections cut differently.

MedMNIST takes the centre square of what MedIMeta pads to a square (OCT, chest X-rays), and
BloodMNIST the central 200 x 200 of 360 x 363 pixels, a share of 0.555.
"""


def hashes(images: Iterable[NDArray[np.uint8]], centres: Sequence[float]) -> Hashes:
    """Return the DCT hash of the centres of images (``imagehash.phash``).

    Parameters
    ----------
    images : iterable of (H, W, C) uint8
        C is 1 (gray) or 3 (RGB).
    centres
        Shares of both sides.

    Returns
    -------
    hashes : (n, number of centres) uint64
    """
    import imagehash
    from PIL import Image

    found = []
    for image in images:
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L")
        bits = [imagehash.phash(_centre(picture, share)).hash.ravel() for share in centres]
        found.append(np.packbits(np.array(bits), axis=1).view(np.uint64).ravel())
    return np.array(found, np.uint64).reshape(-1, len(centres))


def nearest(
    first: Hashes, second: Hashes, most_bits: int, keep: int
) -> list[tuple[int, int, int, int]]:
    """Return the pairs of `first` and `second` whose hashes differ in at most `most_bits`.

    A centre of one is compared with the whole of the other, both ways round. For every row of
    `first` the nearest `keep` rows of `second` are kept.

    Parameters
    ----------
    first, second : (n, centres), (m, centres) uint64
        The first centre is the whole image.

    Returns
    -------
    pairs : list of (row, row, bits that differ, centre)
        The centre is that of `first`, or minus that of `second`; 0 for two whole images.
    """
    pairs = []
    for row, own in enumerate(first):
        ways = [
            np.bitwise_count(own[:, None] ^ second[None, :, 0]),
            np.bitwise_count(own[0] ^ second[:, 1:].T),
        ]
        bits = np.concatenate(ways)
        best = bits.argmin(axis=0)
        distance = bits[best, np.arange(bits.shape[1])]
        close = np.flatnonzero(distance <= most_bits)
        order = close[np.argsort(distance[close], kind="stable")][:keep]
        centres = len(own)
        for other in order:
            way = int(best[other])
            centre = way if way < centres else centres - 1 - way
            pairs.append((row, int(other), int(distance[other]), centre))
    return pairs


def _centre(picture: Picture, share: float) -> Picture:
    if share == 1.0:
        return picture
    width, height = picture.size
    left, top = round(width * (1 - share) / 2), round(height * (1 - share) / 2)
    return picture.crop((left, top, width - left, height - top))
