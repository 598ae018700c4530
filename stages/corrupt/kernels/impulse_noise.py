"""Impulse noise (salt and pepper): a share of the channel values becomes 0 or 255."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape
from stages.corrupt.kernels.noise import draw_key, random_words

KEEP, SALT, PEPPER = 0, 1, 2


class Severity(Declared):
    """Parameters of one severity."""

    amount: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of the channel values that are replaced, half of them by 255 and half by 0."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float]:
    """Return ``amount`` and the ``noise_key`` of the mask."""
    return {"amount": severity.amount, "noise_key": draw_key(stream)}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` with the impulses of `parameters`."""
    mask = impulses(int(parameters["noise_key"]), image.shape, float(parameters["amount"]))
    return apply_mask(image, mask)


def impulses(key: int, shape: Shape, amount: float) -> NDArray[np.uint8]:
    """Return a mask of `shape`: KEEP, SALT or PEPPER for each channel value.

    Of each random word 31 bits decide whether the value is replaced and one bit by what.
    """
    mask = np.empty(shape, np.uint8)
    _decide(random_words(key, mask.size), round(amount * 2.0**31), mask.reshape(-1))
    return mask


def apply_mask(image: Image, mask: NDArray[np.uint8]) -> Image:
    """Return `image` with 255 where `mask` is SALT and 0 where it is PEPPER.

    Parameters
    ----------
    image : (H, W, C) uint8
    mask : (H, W, C) uint8
        KEEP, SALT or PEPPER.
    """
    noisy = np.empty_like(image)
    _replace(image.reshape(-1), mask.reshape(-1), noisy.reshape(-1))
    return noisy


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


KERNEL = Kernel(name="impulse_noise", severity=Severity, draw=draw, apply=apply)
