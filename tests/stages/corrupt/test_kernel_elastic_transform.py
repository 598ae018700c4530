"""Elastic transform: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import elastic_transform
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    NearPackage,
    any_severity,
    apart,
    by_package,
    severities_of,
)

SEVERITIES = severities_of("elastic_transform")


class TestElasticTransform(CorruptionContract, NearPackage):
    suite = GRAY_STAYS
    corruption = "elastic_transform"
    most = 1

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        field = np.empty((2, *image.shape[:2]), np.float32)
        elastic_transform.draw_field(image.size, field)
        return same_field(package, image, field, severity)


def same_field(
    reference: ModuleType, image: NDArray[np.uint8], field: NDArray[np.float32], severity: int
) -> int:
    """Return how far ours and theirs are apart when both are given the same field."""
    given = iter(field.astype(np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "uniform", lambda low, high, size: next(given) * high)
        theirs = by_package("elastic_transform", reference, image, severity)
    return apart(elastic_transform.apply_field(image, field, SEVERITIES[severity - 1]), theirs)


def test_displacements_beyond_a_narrow_image_match(reference: ModuleType) -> None:
    """Where the field reaches past the mirror image, the mirrors repeat as the package's do."""
    field = np.ones((2, 900, 32), np.float32)
    field[:, :450] = -1.0
    assert same_field(reference, generated_image((900, 32, 3)), field, 5) <= 1


@any_severity
def test_flat_images_keep_their_level(severity: int) -> None:
    """Moving the pixels of a flat image changes nothing."""
    for level in range(256):
        image = np.full((40, 33, 1), level, np.uint8)
        moved = elastic_transform.apply(image, {**SEVERITIES[severity - 1], "noise_key": level})
        assert (moved == level).all()


def test_the_field_is_uniform_and_independent() -> None:
    """Numbers before the smoothing are uniform in [-1, 1], along both axes and among neighbours.

    With 720,000 numbers the Kolmogorov-Smirnov test at 1e-4 finds any distribution function
    that is off by 0.005 with a probability above 0.99, and correlations above 0.012 are found.
    """
    from scipy import stats

    field = np.empty((2, 600, 600), np.float32)
    elastic_transform.draw_field(5, field)
    assert stats.kstest(field.reshape(-1), stats.uniform(-1, 2).cdf).pvalue > 1e-4
    bound = 5 / np.sqrt(field[0].size)
    pairs = (
        (field[0], field[1]),
        (field[:, 1:], field[:, :-1]),
        (field[:, :, 1:], field[:, :, :-1]),
    )
    for one, other in pairs:
        assert abs(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]) < bound
