"""Gamma correction: its contract, and the bytes of torchvision on Pillow images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corrupt.kernels.gamma import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import (
    SHAPES,
    array,
    gamma_corrected,
    gray_stays,
    images_of,
    pillow,
)

GAMMAS = (0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)


class TestGammaUp(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "gamma_corr_up"


class TestGammaDown(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "gamma_corr_down"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_torchvisions(shape: tuple[int, int, int]) -> None:
    """Gray and coloured images of all sizes give torchvision's bytes."""
    for gamma in GAMMAS:
        for image in images_of(shape):
            ours = KERNEL.apply_one(image, {"gamma": gamma})
            assert np.array_equal(ours, array(gamma_corrected(pillow(image), gamma)))


@settings(max_examples=200, deadline=None)
@given(gamma=st.floats(0.01, 10.0))
def test_every_level_is_torchvisions_at_any_exponent(gamma: float) -> None:
    """All 256 levels are cut off as torchvision's are, whatever the exponent."""
    image = np.arange(28 * 28).reshape(28, 28, 1).astype(np.uint8)
    ours = KERNEL.apply_one(image, {"gamma": gamma})
    assert np.array_equal(ours, array(gamma_corrected(pillow(image), gamma)))
