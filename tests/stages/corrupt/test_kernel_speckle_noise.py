"""Speckle noise: its contract, its law, and the imagecorruptions package's image."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import rendering, schema, testing
from stages.corrupt.kernels import gaussian_noise, noise, table
from stages.corrupt.kernels.speckle_noise import KERNEL, apply_field
from stages.corrupt.schema import SuiteManifest
from stages.corrupt.testing import CorruptionContract, generated_image

SEVERITIES = (
    {"sigma": 0.15},
    {"sigma": 0.2},
    {"sigma": 0.35},
    {"sigma": 0.45},
    {"sigma": 0.6},
)
SUITE = "as-tested"

any_severity = pytest.mark.parametrize("severity", range(1, 6))
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))


@pytest.fixture(autouse=True)
def suite(monkeypatch: pytest.MonkeyPatch) -> SuiteManifest:
    """Return a suite of this corruption alone, in which gray images stay gray."""
    kernels = {**table.KERNELS, KERNEL.name: KERNEL}
    for module in (schema, testing, rendering):
        monkeypatch.setattr(module, "KERNELS", kernels)
    declared = {"name": KERNEL.name, "kernel": KERNEL.name, "severities": SEVERITIES}
    manifest = SuiteManifest.model_validate(
        {
            "schema": 1,
            "id": SUITE,
            "title": "one corruption",
            "gray": "stay",
            "source": "imagecorruptions 1.1.2",
            "corruptions": (declared,),
        }
    )
    for module in (testing, rendering):
        monkeypatch.setattr(module, "shipped_suite", lambda name: manifest)
    return manifest


class TestSpeckleNoise(CorruptionContract):
    suite = SUITE
    corruption = KERNEL.name


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


def by_package(reference: ModuleType, image: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    """Return the package's rendering, converted as its own `corrupt` does."""
    from PIL import Image

    corrupted = getattr(reference, KERNEL.name)(Image.fromarray(image), severity)
    return np.asarray(np.uint8(corrupted))


def apart(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> int:
    """Return the largest difference in grey levels; shapes must agree."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())


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
        ours = KERNEL.apply(image, {"sigma": sigma, "noise_key": severity})
        assert apart(ours, by_package(reference, image, severity)) <= 1


def _given(field: NDArray[np.float32]) -> Callable[..., NDArray[np.float64]]:
    return lambda size, scale: field.astype(np.float64) * scale


def law_faults(flat: int, noisy: NDArray[np.uint8], sigma: float) -> list[str]:
    """Return which of two tests against truncated speckle on a flat image the image fails."""
    stats = pytest.importorskip("scipy.stats")
    levels = np.arange(256)
    edges = np.concatenate([[-np.inf], levels[1:], [np.inf]])
    probabilities = np.diff(stats.norm.cdf((edges - flat) / (flat * sigma)))
    expected = probabilities * noisy.size
    kept = expected >= 10
    seen = np.bincount(noisy.ravel(), minlength=256)
    statistic = ((seen - expected)[kept] ** 2 / expected[kept]).sum()
    mean = (probabilities * levels).sum()
    deviation = ((probabilities * (levels - mean) ** 2).sum() / noisy.size) ** 0.5
    tests = {
        "chi-squared": statistic > stats.chi2.ppf(0.9999, kept.sum() - 1),
        "mean": abs(noisy.mean() - mean) > 4.5 * deviation,
    }
    return [name for name, failed in tests.items() if failed]


@pytest.mark.parametrize("flat", [40, 100, 220])
@any_severity
def test_grey_levels_follow_the_law(severity: int, flat: int) -> None:
    """Grey levels of 4.3 million flat values follow the exact law of truncated speckle.

    The tests find a standard deviation off by 1 %, and noise that does not depend on the pixel's
    own value: both faults are put in and found.
    """
    sigma = SEVERITIES[severity - 1]["sigma"]
    image = np.full((1200, 1200, 3), flat, np.uint8)
    noisy = KERNEL.apply(image, {"sigma": sigma, "noise_key": 7})
    assert law_faults(flat, noisy, sigma) == []
    field = noise.standard_normal(severity, image.shape).copy()
    assert law_faults(flat, apply_field(image, field, 1.01 * sigma), sigma)
    assert law_faults(flat, gaussian_noise.apply_field(image, field, sigma), sigma)


def test_black_stays_black() -> None:
    """Noise that multiplies leaves zeros alone."""
    image = np.zeros((64, 64, 3), np.uint8)
    assert not KERNEL.apply(image, {"sigma": 0.6, "noise_key": 1}).any()
