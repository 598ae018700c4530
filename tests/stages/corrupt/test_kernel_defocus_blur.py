"""Defocus blur: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np
import pytest

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import defocus_blur
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt import kernels
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    SIZES,
    NearPackage,
    any_severity,
    apart,
    severities_of,
)

SEVERITIES = severities_of("defocus_blur")
by_reference = functools.partial(kernels.by_package, "defocus_blur")


class TestDefocusBlur(CorruptionContract, NearPackage):
    suite = GRAY_STAYS
    corruption = "defocus_blur"
    most = 1


@any_severity
def test_gray_images_match_the_package(reference: ModuleType, severity: int) -> None:
    """A one-channel image is within 1 grey level of the package's gray rendering."""
    for size in SIZES:
        gray = generated_image((*size, 1))
        ours = defocus_blur.apply(gray, SEVERITIES[severity - 1])[:, :, 0]
        assert apart(ours, by_reference(reference, gray[:, :, 0], severity)) <= 1


@any_severity
def test_flat_images_keep_their_level(severity: int) -> None:
    """No rounding error is truncated to the level below.

    The package's disks of radius 8 and 10, cut at their square, add up to more than 1.
    """
    total = defocus_blur.disk(*SEVERITIES[severity - 1].values()).sum()
    assert (total < 1.0 + 1e-12) == (severity < 4)
    for level in range(256):
        image = np.full((40, 33, 1), level, np.uint8)
        blurred = defocus_blur.apply(image, SEVERITIES[severity - 1])
        assert (blurred >= min(255, int(level * total + 1e-9))).all()
        assert (blurred <= level * total + 0.01).all()


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 7.5, 8.0, 9.0, 12.0, 20.0])
@pytest.mark.parametrize("alias_sigma", [0.01, 0.1, 0.2, 0.5, 0.6])
def test_the_disk_is_that_of_the_package(
    reference: ModuleType, radius: float, alias_sigma: float
) -> None:
    """Weights agree for every radius and edge that MedMNIST-C and ImageNet-C use, and others."""
    theirs = reference.disk(radius, alias_sigma)
    assert np.abs(defocus_blur.disk(radius, alias_sigma) - theirs).max() < 1e-7


def test_a_fractional_radius_above_8_is_refused() -> None:
    """The package's grid would not be centred there."""
    with pytest.raises(ValueError, match="whole number"):
        defocus_blur.Severity(radius=8.5, alias_sigma=0.5)
