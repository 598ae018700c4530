"""Enhance brightness: its contract, and the bytes of Pillow's enhancer."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corrupt.kernels.enhance_brightness import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import FACTORS, SHAPES, enhanced, gray_stays, images_of

by_pillow = functools.partial(enhanced, "Brightness")


class TestBrightnessUp(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "brightness_up"


class TestBrightnessDown(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "brightness_down"


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
