"""Shot noise: its contract, its law, and the imagecorruptions package's image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt.kernels import noise
from stages.corrupt.kernels.shot_noise import KERNEL, apply_counts, photon_counts, thresholds
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt import kernels
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    SIZES,
    any_severity,
    apart,
    images_of,
    severities_of,
)

SEVERITIES = severities_of("shot_noise")
by_package = functools.partial(kernels.by_package, "shot_noise")


class TestShotNoise(CorruptionContract):
    suite = GRAY_STAYS
    corruption = KERNEL.name


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_counts_give_the_same_image(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], severity: int
) -> None:
    """Given the same Poisson numbers, those beyond white included, the bytes are equal."""
    photons = SEVERITIES[severity - 1]["photons"]
    rng = np.random.default_rng(severity)
    for image in images_of(*size):
        counts = rng.poisson(image / 255.0 * photons)
        with monkeypatch.context() as patched:
            patched.setattr(np.random, "poisson", _given(counts))
            theirs = by_package(reference, image, severity)
        assert apart(apply_counts(counts, photons), theirs) == 0


@any_severity
def test_the_same_counts_give_the_same_image_on_real_images(
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    real_images: dict[str, NDArray[np.uint8]],
    severity: int,
) -> None:
    """Real images with the counts of a key give the package's bytes."""
    photons = SEVERITIES[severity - 1]["photons"]
    for image in real_images.values():
        counts = photon_counts(image, severity, photons)
        with monkeypatch.context() as patched:
            patched.setattr(np.random, "poisson", _given(counts))
            theirs = by_package(reference, image, severity)
        ours = KERNEL.apply_one(image, {"photons": photons, "noise_key": severity})
        assert apart(ours, theirs) == 0


def _given(counts: NDArray[np.integer]) -> Callable[..., NDArray[np.integer]]:
    return lambda rates: counts


@pytest.mark.parametrize("photons", [0.5, 3.0, 5.0, 12.0, 25.0, 33.3, 60.0, 250.0, 500.0, 700.0])
def test_thresholds_are_the_exact_law(photons: float) -> None:
    """Every threshold is scipy's distribution function rounded to 2**-31, for every grey level."""
    stats = pytest.importorskip("scipy.stats")
    counts = np.arange(np.ceil(photons))
    rates = np.arange(256)[:, np.newaxis] * photons / 255
    exact = stats.poisson.cdf(counts, rates) * 2.0**31
    ours = thresholds(photons)
    assert ours.shape == (256, counts.size + 1)
    assert np.abs(ours[:, :-1] - exact).max() < 0.51
    assert np.all(ours[:, -1] == 1 << 31)
    assert np.all(np.diff(ours.astype(np.int64), axis=1) >= 0)


@given(
    key=st.integers(0, 2**63 - 1),
    photons=st.sampled_from((0.5, 3.0, 7.25, 60.0, 700.0)),
)
def test_counts_invert_the_distribution(key: int, photons: float) -> None:
    """Each count is the number of thresholds that are not above its random number."""
    image = np.random.default_rng(key).integers(0, 256, (30, 31, 1), dtype=np.uint8)
    numbers = (noise.random_words(key, image.size) >> np.uint32(1)).copy()
    below = thresholds(photons)[image.ravel()] <= numbers[:, np.newaxis]
    counts = photon_counts(image, key, photons)
    assert np.array_equal(counts.ravel(), below.sum(axis=1))


def law_faults(flat: int, counts: NDArray[np.integer], photons: float) -> list[str]:
    """Return which of two tests against Poisson numbers capped at white the counts fail."""
    stats = pytest.importorskip("scipy.stats")
    white = int(np.ceil(photons))
    possible = np.arange(white + 1)
    rate = flat * photons / 255
    probabilities = stats.poisson.pmf(possible, rate)
    probabilities[white] = stats.poisson.sf(white - 1, rate)
    expected = probabilities * counts.size
    kept = expected >= 10
    seen = np.bincount(np.minimum(counts, white).ravel(), minlength=white + 1)
    statistic = ((seen - expected)[kept] ** 2 / expected[kept]).sum()
    mean = (probabilities * possible).sum()
    deviation = ((probabilities * (possible - mean) ** 2).sum() / counts.size) ** 0.5
    tests = {
        "chi-squared": statistic > stats.chi2.ppf(0.9999, kept.sum() - 1),
        "mean": abs((seen * possible).sum() / counts.size - mean) > 4.5 * deviation,
    }
    return [name for name, failed in tests.items() if failed]


@pytest.mark.parametrize("flat", [1, 25, 100, 200, 255])
@any_severity
def test_counts_follow_the_poisson_law(severity: int, flat: int) -> None:
    """4.3 million counts of a flat image follow the law; the last one stands for all above.

    The tests find a rate off by 4 % in the darkest image and by 1 % in the others, and normal
    numbers of the same mean and spread in place of Poisson ones: both faults are put in and found.
    """
    photons = SEVERITIES[severity - 1]["photons"]
    image = np.full((1200, 1200, 3), flat, np.uint8)
    assert law_faults(flat, photon_counts(image, 5, photons), photons) == []
    rng = np.random.default_rng(severity)
    rate = flat * photons / 255
    off = rng.poisson(rate * (1.04 if flat == 1 else 1.01), image.size)
    assert law_faults(flat, off, photons)
    normal = np.floor(rng.normal(rate, rate**0.5, image.size) + 0.5)
    assert law_faults(flat, np.maximum(normal, 0).astype(np.int64), photons)


def test_counts_of_neighbours_are_independent() -> None:
    """Neighbours in rows, columns, channels and blocks of words: finds a correlation of 0.005."""
    counts = photon_counts(np.full((837, 837, 3), 100, np.uint8), 3, 60.0).ravel().astype(float)
    field = (counts - counts.mean()) / counts.std()
    for distance in (1, 3, 256, 512, 1024, 837 * 3):
        assert abs(np.mean(field[:-distance] * field[distance:])) < 4.5 / field.size**0.5


def test_black_stays_black() -> None:
    """No photons come from black."""
    image = np.zeros((64, 64, 3), np.uint8)
    assert not KERNEL.apply_one(image, {"photons": 3.0, "noise_key": 1}).any()
