"""Gaussian blur: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

import numpy as np

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import gaussian_blur
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    GrayLikeItsCopies,
    NearPackage,
    any_severity,
    severities_of,
)

SEVERITIES = severities_of("gaussian_blur")


class TestGaussianBlur(CorruptionContract, NearPackage, GrayLikeItsCopies):
    suite = GRAY_STAYS
    corruption = "gaussian_blur"
    most = 1


@any_severity
def test_flat_images_keep_their_level(severity: int) -> None:
    """No rounding error is truncated to the level below."""
    for level in range(256):
        image = np.full((40, 33, 1), level, np.uint8)
        assert ((gaussian_blur.apply(image, SEVERITIES[severity - 1])) == level).all()


def test_an_image_smaller_than_the_filter_is_filtered() -> None:
    """Weights that reach beyond the far edge count the edge pixel again."""
    image = generated_image((28, 31, 3))
    wide = np.pad(image, ((99, 99), (99, 99), (0, 0)), mode="edge")
    ours = gaussian_blur.apply(image, {"sigma": 12.0})
    assert np.array_equal(ours, gaussian_blur.apply(wide, {"sigma": 12.0})[99:-99, 99:-99])
