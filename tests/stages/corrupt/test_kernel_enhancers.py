"""Enhance brightness, enhance contrast: their contracts, and the bytes of Pillow's enhancers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt.kernels import enhance_brightness, enhance_contrast
from stages.corrupt.kernels.kernel import Kernel
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import (
    FACTORS,
    SHAPES,
    array,
    enhanced,
    gray_stays,
    images_of,
    pillow,
)

BRIGHTNESS, CONTRAST = enhance_brightness.KERNEL, enhance_contrast.KERNEL
any_enhancer = pytest.mark.parametrize(
    ("kernel", "enhancer"), [(BRIGHTNESS, "Brightness"), (CONTRAST, "Contrast")]
)


class TestBrightnessUp(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "brightness_up"


class TestBrightnessDown(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "brightness_down"


class TestContrastUp(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "contrast_up"


class TestContrastDown(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "contrast_down"


def faults(
    kernel: Kernel[Any], enhancer: str, image: NDArray[np.uint8], factor: float
) -> NDArray[np.bool_]:
    """Return where a kernel's bytes differ from those of Pillow's enhancer."""
    theirs = array(enhanced(enhancer, pillow(image), factor))
    return kernel.apply_one(image, {"factor": factor}) != theirs


@any_enhancer
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_pillows(kernel: Kernel[Any], enhancer: str, shape: tuple[int, int, int]) -> None:
    """Gray and coloured images of all sizes give Pillow's bytes at factors below and above 1."""
    for factor in FACTORS:
        for image in images_of(shape):
            assert not faults(kernel, enhancer, image, factor).any()


@settings(max_examples=300, deadline=None)
@given(factor=st.floats(0.0, 10.0))
def test_every_level_is_pillows_at_any_factor(factor: float) -> None:
    """All 256 levels round as Pillow's do, whatever the factor."""
    image = np.arange(28 * 28).reshape(28, 28, 1).astype(np.uint8)
    assert not faults(BRIGHTNESS, "Brightness", image, factor).any()


@settings(max_examples=200, deadline=None)
@given(
    factor=st.floats(0.0, 10.0),
    channels=st.sampled_from((1, 3)),
    darkest=st.integers(0, 255),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_image_and_factor_give_pillows_bytes(
    factor: float, channels: int, darkest: int, seed: int
) -> None:
    """Means that lie near a half round as Pillow's do, whatever the factor."""
    rng = np.random.default_rng(seed)
    image = rng.integers(darkest, 256, (28, 30, channels), dtype=np.uint8)
    assert not faults(CONTRAST, "Contrast", image, factor).any()


@pytest.mark.parametrize("brighter", [195, 196, 197])
def test_a_mean_of_one_half_is_rounded_up(brighter: int) -> None:
    """Just below, at and above a mean of 100.5 the flat image is Pillow's."""
    image = np.full(28 * 28, 100, np.uint8)
    image[: 2 * brighter] += 1
    image = image.reshape(28, 28, 1)
    ours = CONTRAST.apply_one(image, {"factor": 0.0})
    assert (ours == (100 if brighter < 196 else 101)).all()
    assert not faults(CONTRAST, "Contrast", image, 0.0).any()


def test_images_of_a_batch_keep_their_own_mean() -> None:
    """A dark image beside a bright one is as if alone."""
    images = np.stack([np.full((28, 28, 3), 40, np.uint8), np.full((28, 28, 3), 240, np.uint8)])
    rendered = np.empty_like(images)
    CONTRAST.apply(images, [{"factor": 0.5}] * 2, rendered)
    assert np.array_equal(rendered, images)
