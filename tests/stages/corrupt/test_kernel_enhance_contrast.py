"""Enhance contrast: its contract, and the bytes of Pillow's enhancer."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corrupt.kernels.enhance_contrast import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import FACTORS, SHAPES, enhanced, gray_stays, images_of

by_pillow = functools.partial(enhanced, "Contrast")


class TestContrastUp(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "contrast_up"


class TestContrastDown(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "contrast_down"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_pillows(shape: tuple[int, int, int]) -> None:
    """Gray and coloured images of all sizes give Pillow's bytes at factors below and above 1."""
    for factor in FACTORS:
        for image in images_of(shape):
            ours = KERNEL.apply_one(image, {"factor": factor})
            assert np.array_equal(ours, by_pillow(image, factor))


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
    ours = KERNEL.apply_one(image, {"factor": factor})
    assert np.array_equal(ours, by_pillow(image, factor))


@pytest.mark.parametrize("brighter", [195, 196, 197])
def test_a_mean_of_one_half_is_rounded_up(brighter: int) -> None:
    """Just below, at and above a mean of 100.5 the flat image is Pillow's."""
    image = np.full(28 * 28, 100, np.uint8)
    image[: 2 * brighter] += 1
    image = image.reshape(28, 28, 1)
    ours = KERNEL.apply_one(image, {"factor": 0.0})
    assert (ours == (100 if brighter < 196 else 101)).all()
    assert np.array_equal(ours, by_pillow(image, 0.0))


def test_images_of_a_batch_keep_their_own_mean() -> None:
    """A dark image beside a bright one is as if alone."""
    images = np.stack([np.full((28, 28, 3), 40, np.uint8), np.full((28, 28, 3), 240, np.uint8)])
    enhanced = np.empty_like(images)
    KERNEL.apply(images, [{"factor": 0.5}] * 2, enhanced)
    assert np.array_equal(enhanced, images)
