"""Enhance brightness: its contract, and the bytes of Pillow's enhancer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt.kernels.enhance_brightness import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import SHAPES, array, gray_stays, images_of, pillow

FACTORS = (0.0, 0.3, 0.45, 0.55, 0.72, 0.85, 1.0, 1.1, 1.15, 1.22, 1.35, 1.8, 2.0, 10.0)


class TestBrightnessUp(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "brightness_up"


class TestBrightnessDown(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "brightness_down"


def by_pillow(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Return what Pillow's enhancer makes of `image`."""
    from PIL import ImageEnhance

    return array(ImageEnhance.Brightness(pillow(image)).enhance(factor))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_pillows(shape: tuple[int, int, int]) -> None:
    """Gray and coloured images of all sizes give Pillow's bytes at factors below and above 1."""
    for factor in FACTORS:
        for image in images_of(shape):
            ours = KERNEL.apply_one(image, {"factor": factor})
            assert np.array_equal(ours, by_pillow(image, factor))


@settings(max_examples=300, deadline=None)
@given(factor=st.floats(0.0, 10.0))
def test_every_level_is_pillows_at_any_factor(factor: float) -> None:
    """All 256 levels round as Pillow's do, whatever the factor."""
    image = np.arange(28 * 28).reshape(28, 28, 1).astype(np.uint8)
    ours = KERNEL.apply_one(image, {"factor": factor})
    assert np.array_equal(ours, by_pillow(image, factor))
