"""Impulse noise (salt and pepper): a share of the channel values becomes 0 or 255."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Images, Kernel, Parameters, Shape
from stages.corrupt.kernels.noise import draw_key, fill_words

KEEP, SALT, PEPPER = 0, 1, 2
"""What becomes of a channel value."""


class Severity(Declared):
    """Parameters of one severity."""

    amount: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of the channel values that are replaced, half of them by 255 and half by 0."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``amount`` and the ``noise_key`` of the mask."""
    return {"amount": severity.amount, "noise_key": draw_key(stream)}


def apply(images: Images, parameters: Sequence[Parameters], noisy: Images) -> None:
    """Write each image with its impulses."""
    count = len(images)
    _add_impulses(
        images.reshape(count, -1),
        np.array([entry["noise_key"] for entry in parameters], np.uint64),
        np.array([threshold_of(float(entry["amount"])) for entry in parameters], np.uint32),
        noisy.reshape(count, -1),
    )


def threshold_of(amount: float) -> int:
    """Return the 31-bit number below which a share `amount` of all lies: those are replaced."""
    return round(amount * 2.0**31)


@compiled("void(Array(uint32, 1, 'C', True), uint32, uint8[::1])")
def _decide(words: NDArray[np.uint32], threshold: int, mask: NDArray[np.uint8]) -> None:
    for i in range(mask.size):
        replaced = (words[i] >> np.uint32(1)) < threshold
        impulse = np.uint8(2) - np.uint8(words[i] & np.uint32(1))
        mask[i] = impulse if replaced else np.uint8(0)


@compiled("void(Array(uint8, 1, 'C', True), Array(uint8, 1, 'C', True), uint8[::1])")
def _replace(image: Image, mask: NDArray[np.uint8], noisy: Image) -> None:
    for i in range(image.size):
        value = np.uint8(255) if mask[i] == np.uint8(1) else np.uint8(0)
        noisy[i] = image[i] if mask[i] == np.uint8(0) else value


@compiled(
    "void(Array(uint8, 2, 'C', True), Array(uint64, 1, 'C', True), Array(uint32, 1, 'C', True),"
    " uint8[:, ::1])"
)
def _add_impulses(
    images: Images, keys: NDArray[np.uint64], thresholds: NDArray[np.uint32], noisy: Images
) -> None:
    words, mask = np.empty(1024, np.uint32), np.empty(1024, np.uint8)
    for n in range(images.shape[0]):
        for start in range(0, images.shape[1], 1024):
            fill_words(keys[n], start // 1024, words)
            _decide(words, thresholds[n], mask)
            image, out = images[n, start : start + 1024], noisy[n, start : start + 1024]
            _replace(image, mask, out)


KERNEL = Kernel(name="impulse_noise", severity=Severity, draw=draw, apply=apply)
