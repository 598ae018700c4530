"""Elastic transform: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import rendering, schema, testing
from stages.corrupt.kernels import elastic_transform
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.testing import CorruptionContract, generated_image

NAME = "elastic_transform"
SEVERITIES: tuple[dict[str, Any], ...] = (
    {"strength": 12.5, "reach": 0.005, "smoothing": 0.01},
    {"strength": 16.25, "reach": 0.005, "smoothing": 0.01},
    {"strength": 21.25, "reach": 0.005, "smoothing": 0.01},
    {"strength": 25.0, "reach": 0.005, "smoothing": 0.01},
    {"strength": 30.0, "reach": 0.005, "smoothing": 0.01},
)
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))

any_severity = pytest.mark.parametrize("severity", range(1, 6))


@pytest.fixture(autouse=True)
def _suite_of_this_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the contract find a suite of this kernel alone, whatever the shipped suites hold."""
    for module in (rendering, schema, testing):
        monkeypatch.setattr(module, "KERNELS", {**KERNELS, NAME: elastic_transform.KERNEL})
    suite = schema.SuiteManifest.model_validate(
        {
            "schema": 1,
            "id": "alone",
            "title": "One corruption",
            "gray": "stay",
            "source": "ImageNet-C at 224 pixels",
            "corruptions": ({"name": NAME, "kernel": NAME, "severities": SEVERITIES},),
        }
    )
    monkeypatch.setattr(testing, "shipped_suite", lambda name: suite)


class TestElasticTransform(CorruptionContract):
    corruption = NAME


def images_of(height: int, width: int) -> list[NDArray[np.uint8]]:
    """Return a textured, a random, a gray and three flat images."""
    rng = np.random.default_rng(height * 1000 + width)
    gray = rng.integers(0, 256, (height, width, 1), dtype=np.uint8)
    return [
        generated_image((height, width, 3)),
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        np.repeat(gray, 3, axis=2),
        *(np.full((height, width, 3), level, np.uint8) for level in (0, 37, 255)),
    ]


def by_reference(
    reference: ModuleType, image: NDArray[np.uint8], severity: int
) -> NDArray[np.uint8]:
    """Return the package's rendering, as its own `corrupt` calls and converts it."""
    from PIL import Image

    return np.uint8(getattr(reference, NAME)(Image.fromarray(image), severity))  # type: ignore[return-value]


def apart(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> int:
    """Return the largest difference in grey levels; shapes must agree."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())


def same_field(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, image: NDArray[np.uint8], severity: int
) -> int:
    """Return how far ours and theirs are apart when both are given the same field."""
    field = np.empty((2, *image.shape[:2]), np.float32)
    elastic_transform.draw_field(image.size, field)
    given = iter(field.astype(np.float64))
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: next(given) * high)
    theirs = by_reference(reference, image, severity)
    ours = elastic_transform.apply_field(image, field, SEVERITIES[severity - 1])
    return apart(ours[:, :, 0] if image.shape[2] == 1 else ours, theirs)


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_matches_the_package_with_the_same_field(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], severity: int
) -> None:
    """Given the same field, images of all sizes are within 1 grey level."""
    for image in images_of(*size):
        assert same_field(reference, monkeypatch, image, severity) <= 1


@any_severity
def test_it_matches_the_package_on_real_images(
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    real_images: dict[str, NDArray[np.uint8]],
    severity: int,
) -> None:
    """Given the same field, real images are within 1 grey level."""
    for image in real_images.values():
        assert same_field(reference, monkeypatch, image, severity) <= 1


def test_displacements_beyond_a_narrow_image_match(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the field reaches past the mirror image, the mirrors repeat as the package's do."""
    image = generated_image((900, 32, 3))
    field = np.ones((2, 900, 32), np.float32)
    field[:, :450] = -1.0
    given = iter(field.astype(np.float64))
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: next(given) * high)
    theirs = by_reference(reference, image, 5)
    assert apart(elastic_transform.apply_field(image, field, SEVERITIES[4]), theirs) <= 1


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
