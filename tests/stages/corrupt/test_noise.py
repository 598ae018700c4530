"""Random fields have the distributions they claim.

Keys are fixed, so these tests never fail by chance. Bounds are about 4.5 standard errors; each
test states the fault that it finds with a probability above 99 %.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt import corrupt
from stages.corrupt.kernels import exact_math, gaussian_noise, impulse_noise, motion_blur, noise
from stages.corrupt.rendering import SUITES, sample_stream
from tests.stages.corrupt.kernels import any_severity, impulses, normal_law_faults

SUITE = SUITES["medimeta-c"]
COUNT = 1 << 21


def test_words_are_philox() -> None:
    """Key 0 and counter 0 give the known answer of Random123's philox4x32-10."""
    words = noise.random_words(0, 1024)[::256]
    assert [f"{word:08x}" for word in words] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


@given(key=st.integers(0, 2**63 - 1), index=st.integers(0, 9999), extra=st.integers(1, 3000))
def test_a_word_depends_on_key_and_index_alone(key: int, index: int, extra: int) -> None:
    """Each word is the documented output of the documented block, for any length of field."""
    chunk, place = divmod(index, 1024)
    output, block = divmod(place, 256)
    word = int(noise.random_words(key, index + extra)[index])
    assert word == philox4x32(256 * chunk + block, key)[output]


def philox4x32(block: int, key: int) -> tuple[int, int, int, int]:
    """Return the four words of one block: Salmon et al. 2011, in plain integers."""
    counter = (block, 0, 0, 0)
    low, high = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = (
            (second >> 32) ^ counter[1] ^ low,
            second & 0xFFFFFFFF,
            (first >> 32) ^ counter[3] ^ high,
            first & 0xFFFFFFFF,
        )
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return counter


def test_normal_numbers_are_exact_quantiles() -> None:
    """Each number is within 1e-4 of scipy's quantile of the probability its word stands for."""
    stats = pytest.importorskip("scipy.stats")
    words = noise.random_words(5, COUNT).astype(np.int64)
    numbers = noise.standard_normal(5, (COUNT, 1, 1)).ravel()
    tails = ((words & 0x7FFFFFFF) + 0.5) * 2.0**-32
    exact = np.where(words >> 31, 1, -1) * stats.norm.ppf(tails)
    assert np.abs(numbers - exact).max() < 1e-4


def test_the_quantile_table_is_exact_in_the_tails() -> None:
    """Every entry is scipy's quantile to float32, from p = 2**-33 to 1/2."""
    stats = pytest.importorskip("scipy.stats")
    table = np.load(noise.__file__.replace("noise.py", "normal_quantiles.npy"), allow_pickle=False)
    octave, step = np.divmod(np.arange(4096), 128)
    p = (128 + step) / 128 * 2.0 ** (octave - 33)
    assert table.shape == (4098,)
    assert np.allclose(table[:4096], -stats.norm.ppf(p), rtol=2e-7, atol=1e-7)
    assert not table[4096:].any()
    assert table[0] > 6.3


def normality_faults(numbers: NDArray[np.float64]) -> list[str]:
    """Return which of four tests against the standard normal law the numbers fail."""
    stats = pytest.importorskip("scipy.stats")
    count = numbers.size
    steps = np.arange(count + 1) / count
    expected = stats.norm.cdf(np.sort(numbers))
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    beyond = count * 2 * stats.norm.sf(4)
    tests = {
        "Kolmogorov-Smirnov": distance > 1.95 / count**0.5,
        "mean": abs(numbers.mean()) > 4.5 / count**0.5,
        "spread": abs(numbers.std() - 1) > 4.5 / (2 * count) ** 0.5,
        "tail": abs((np.abs(numbers) > 4).sum() - beyond) > 4.5 * beyond**0.5,
    }
    return [name for name, failed in tests.items() if failed]


def test_normal_numbers_are_normal() -> None:
    """2**21 numbers pass four tests that find a mean off by 0.005 and a spread off by 0.5 %.

    Numbers cut at 4 are found too. Each of these faults is put in and found.
    """
    numbers = noise.standard_normal(11, (COUNT, 1, 1)).ravel().astype(np.float64)
    assert normality_faults(numbers) == []
    assert "mean" in normality_faults(numbers + 0.005)
    assert "spread" in normality_faults(numbers * 1.005)
    assert "spread" in normality_faults(numbers * 0.995)
    assert "tail" in normality_faults(np.clip(numbers, -4, 4))


def test_normal_numbers_are_independent() -> None:
    """Neighbours in rows, columns, channels and blocks, and equal places of two keys.

    Finds a correlation of 0.005.
    """
    field = noise.standard_normal(3, (837, 837, 3)).ravel().astype(float)
    for distance in (1, 3, 256, 512, 1024, 837 * 3):
        assert abs(np.mean(field[:-distance] * field[distance:])) < 4.5 / field.size**0.5
    other = noise.standard_normal(4, (837, 837, 3)).ravel()
    assert abs(np.mean(field * other)) < 4.5 / field.size**0.5


@any_severity
def test_gaussian_noise_has_the_distribution_of_truncated_noise(severity: int) -> None:
    """Grey levels of a flat image follow the exact law.

    The tests find a standard deviation off by 1 %, and rounding in place of truncation: both
    faults are put in and found.
    """
    sigma = SUITE.corruption("gaussian_noise").severities[severity - 1].model_dump()["sigma"]
    flat = np.full((1200, 1200, 3), 100, np.uint8)
    assert normal_law_faults(100, corrupt(flat, "gaussian_noise", severity), 255 * sigma) == []
    field = noise.standard_normal(severity, flat.shape).copy()
    wider = gaussian_noise.apply_field(flat, field, 1.01 * sigma)
    assert normal_law_faults(100, wider, 255 * sigma)
    rounded = gaussian_noise.apply_field(flat, field + np.float32(0.5 / 255 / sigma), sigma)
    assert "mean" in normal_law_faults(100, rounded, 255 * sigma)


def test_gaussian_noise_of_a_large_image_is_that_of_its_field() -> None:
    """Beyond 1024 runs of 1024 values too."""
    image = np.full((1200, 1200, 1), 100, np.uint8)
    parameters = {"sigma": 0.1, "rounding": "down", "noise_key": 7}
    expected = gaussian_noise.apply_field(image, noise.standard_normal(7, image.shape), 0.1)
    found = gaussian_noise.KERNEL.apply_one(image, parameters)
    np.testing.assert_array_equal(found, expected)


@any_severity
def test_impulses_have_their_share(severity: int) -> None:
    """The share replaced is the severity's, half of it salt, channels independent.

    Finds a share off by 1.5 % of itself, and a share of salt off by 0.8 points.
    """
    amount = SUITE.corruption("impulse_noise").severities[severity - 1].model_dump()["amount"]
    _, mask = impulses(np.empty((1500, 1500, 3), np.uint8), 9, amount)
    replaced = mask != impulse_noise.KEEP
    count = replaced.sum()
    assert abs(count - amount * mask.size) < 4.5 * (mask.size * amount * (1 - amount)) ** 0.5
    assert abs((mask == impulse_noise.SALT).sum() - count / 2) < 4.5 * count**0.5 / 2
    both = (replaced[..., 0] & replaced[..., 1]).sum()
    expected = amount**2 * 1500**2
    assert abs(both - expected) < 4.5 * expected**0.5


def test_impulse_noise_of_a_large_image_follows_its_words() -> None:
    """Beyond 1024 runs of 1024 values too; an odd word is salt."""
    image = np.full((1200, 1200, 1), 128, np.uint8)
    words = noise.random_words(9, image.size).reshape(image.shape)
    replaced = words >> 1 < impulse_noise.threshold_of(0.3)
    _, mask = impulses(image, 9, 0.3)
    np.testing.assert_array_equal(mask != impulse_noise.KEEP, replaced)
    np.testing.assert_array_equal(mask == impulse_noise.SALT, replaced & (words & 1 == 1))


def test_motion_angles_are_uniform() -> None:
    """Kolmogorov-Smirnov of the angles of 20,000 samples: finds an end off by 3 degrees."""
    stats = pytest.importorskip("scipy.stats")
    severity = motion_blur.Severity(radius=10, sigma=3.0)
    angles = [
        motion_blur.draw(
            sample_stream(0, "d", f"sample {n}", "motion_blur", 1), severity, (28, 28, 1)
        )["angle"]
        for n in range(20_000)
    ]
    assert min(angles) >= -45
    assert max(angles) < 45
    assert stats.kstest(angles, "uniform", (-45, 90)).pvalue > 1e-4


def test_noise_keys_of_different_images_differ() -> None:
    """Samples, severities, corruptions, datasets and seeds each change the field."""
    streams = [
        sample_stream(0, None, "a", "gaussian_noise", 1),
        sample_stream(1, None, "a", "gaussian_noise", 1),
        sample_stream(0, "d", "a", "gaussian_noise", 1),
        sample_stream(0, None, "b", "gaussian_noise", 1),
        sample_stream(0, None, "a", "impulse_noise", 1),
        sample_stream(0, None, "a", "gaussian_noise", 2),
    ]
    severity = gaussian_noise.Severity(sigma=0.1)
    keys = {gaussian_noise.draw(stream, severity, (28, 28, 1))["noise_key"] for stream in streams}
    assert len(keys) == len(streams)


def test_exact_exp_agrees_with_the_library() -> None:
    """The exponential is within 1e-15 of the library's, relatively."""
    x = np.random.default_rng(0).uniform(-700, 700, 20_000)
    ours = np.array([exact_math.exp(float(value)) for value in x])
    assert np.abs(ours / np.exp(x) - 1).max() < 1e-15
    assert exact_math.exp(0.0) == 1.0


def test_exact_sine_and_cosine_agree_with_the_library() -> None:
    """Sine and cosine of degrees are within 1e-15 of the library's; quarter turns are exact."""
    angles = np.random.default_rng(0).uniform(-180, 180, 20_000)
    ours = np.array([exact_math.sin_cos_degrees(float(angle)) for angle in angles])
    radians = np.deg2rad(angles)
    assert np.abs(ours - np.stack([np.sin(radians), np.cos(radians)], axis=1)).max() < 1e-15
    assert exact_math.sin_cos_degrees(90.0) == (1.0, 0.0)
    assert exact_math.sin_cos_degrees(-180.0)[1] == -1.0
