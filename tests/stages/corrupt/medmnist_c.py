"""What the tests of MedMNIST-C's kernels share: its suites by dataset, and Pillow's view."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.applying import applied
from stages.corrupt.golden import generated_image
from stages.corrupt.rendering import SUITES
from stages.corrupt.schema import SuiteManifest

SIDE = 224
"""Pixels; the package corrupts images of this size only."""

SHAPES = ((28, 28, 1), (33, 47, 3), (64, 64, 3), (65, 48, 1), (100, 96, 3), (224, 224, 3))

FACTORS = (0.0, 0.3, 0.45, 0.55, 0.72, 0.85, 1.0, 1.1, 1.15, 1.22, 1.35, 1.8, 2.0, 10.0)
"""Of Pillow's enhancers: below 1 there is less, above 1 more."""


@functools.cache
def suite_of(dataset: str) -> SuiteManifest:
    """Return the suite of one dataset."""
    return applied(SUITES["medmnist-c"], {}, dataset=dataset, height=SIDE, width=SIDE)


@functools.cache
def gray_stays(dataset: str) -> SuiteManifest:
    """Return the suite of one dataset for kernels' tests: a gray image has one channel."""
    return suite_of(dataset).model_copy(update={"gray": "stay"})


def images_of(shape: tuple[int, int, int]) -> list[NDArray[np.uint8]]:
    """Return a textured, a random, a dark, a bright and three flat images."""
    random = np.random.default_rng(shape[0]).integers(0, 256, shape, dtype=np.uint8)
    flat = [np.full(shape, level, np.uint8) for level in (0, 37, 255)]
    return [generated_image(shape), random, random // 7, 255 - random // 7, *flat]


def enhanced(enhancer: str, image: Any, factor: float) -> Any:
    """Return what an enhancer of Pillow's makes of Pillow's `image`."""
    from PIL import ImageEnhance

    return getattr(ImageEnhance, enhancer)(image).enhance(factor)


def gamma_corrected(image: Any, gamma: float) -> Any:
    """Return what torchvision makes of Pillow's `image`."""
    from torchvision.transforms.functional import adjust_gamma

    return adjust_gamma(image, gamma, gain=1)


def blurred(image: Any, size: int) -> Any:
    """Return what torchvision makes of Pillow's `image`."""
    from torchvision.transforms.functional import gaussian_blur

    return gaussian_blur(image, kernel_size=size)


def pillow(image: NDArray[np.uint8]) -> Any:
    """Return `image` as Pillow's: L of one channel, else RGB."""
    from PIL import Image

    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def array(image: Any) -> NDArray[np.uint8]:
    """Return Pillow's `image` as (H, W, C)."""
    return np.asarray(image).reshape(image.height, image.width, -1)
