"""Speckle noise: its contract, its law, and the imagecorruptions package's image."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels import gaussian_noise, noise
from stages.corrupt.kernels.speckle_noise import KERNEL, apply_field
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    NearPackage,
    any_severity,
    apart,
    by_package,
    normal_law_faults,
    severities_of,
)

SEVERITIES = severities_of("speckle_noise")


class TestSpeckleNoise(CorruptionContract, NearPackage):
    suite = GRAY_STAYS
    corruption = KERNEL.name
    most = 1

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        field = noise.standard_normal(severity, image.shape).copy()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(np.random, "normal", lambda size, scale: field.astype(float) * scale)
            theirs = by_package(self.corruption, package, image, severity)
        parameters = {**SEVERITIES[severity - 1], "noise_key": severity}
        return apart(KERNEL.apply_one(image, parameters), theirs)


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
