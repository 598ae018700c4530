"""Speckle noise: its contract, its law, and the imagecorruptions package's image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels import gaussian_noise, noise
from stages.corrupt.kernels.speckle_noise import KERNEL, apply_field
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt import kernels
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    SIZES,
    any_severity,
    apart,
    images_of,
    normal_law_faults,
    severities_of,
)

SEVERITIES = severities_of("speckle_noise")
by_package = functools.partial(kernels.by_package, "speckle_noise")


class TestSpeckleNoise(CorruptionContract):
    suite = GRAY_STAYS
    corruption = KERNEL.name


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_field_gives_the_same_image(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], severity: int
) -> None:
    """Given the same normal numbers the noisy images are within 1 grey level."""
    sigma = SEVERITIES[severity - 1]["sigma"]
    rng = np.random.default_rng(severity)
    for image in images_of(*size):
        field = rng.standard_normal(image.shape).astype(np.float32)
        monkeypatch.setattr(np.random, "normal", _given(field))
        theirs = by_package(reference, image, severity)
        assert apart(apply_field(image, field, sigma), theirs) <= 1


@any_severity
def test_the_same_field_gives_the_same_image_on_real_images(
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    real_images: dict[str, NDArray[np.uint8]],
    severity: int,
) -> None:
    """Real images with the field of a key are within 1 grey level."""
    sigma = SEVERITIES[severity - 1]["sigma"]
    for image in real_images.values():
        field = noise.standard_normal(severity, image.shape).copy()
        monkeypatch.setattr(np.random, "normal", _given(field))
        ours = KERNEL.apply_one(image, {"sigma": sigma, "noise_key": severity})
        assert apart(ours, by_package(reference, image, severity)) <= 1


def _given(field: NDArray[np.float32]) -> Callable[..., NDArray[np.float64]]:
    return lambda size, scale: field.astype(np.float64) * scale


@pytest.mark.parametrize("flat", [40, 100, 220])
@any_severity
def test_grey_levels_follow_the_law(severity: int, flat: int) -> None:
    """Grey levels of 4.3 million flat values follow the exact law of truncated speckle.

    The tests find a standard deviation off by 1 %, and noise that does not depend on the pixel's
    own value: both faults are put in and found.
    """
    sigma = SEVERITIES[severity - 1]["sigma"]
    image = np.full((1200, 1200, 3), flat, np.uint8)
    noisy = KERNEL.apply_one(image, {"sigma": sigma, "noise_key": 7})
    assert normal_law_faults(flat, noisy, flat * sigma) == []
    field = noise.standard_normal(severity, image.shape).copy()
    assert normal_law_faults(flat, apply_field(image, field, 1.01 * sigma), flat * sigma)
    assert normal_law_faults(flat, gaussian_noise.apply_field(image, field, sigma), flat * sigma)


def test_black_stays_black() -> None:
    """Noise that multiplies leaves zeros alone."""
    image = np.zeros((64, 64, 3), np.uint8)
    assert not KERNEL.apply_one(image, {"sigma": 0.6, "noise_key": 1}).any()
