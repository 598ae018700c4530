"""Mean DCT spectra: equal to SciPy's on the whole array, whatever the grouping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from stages.analyse.measure import MAP_SIDE, Measured, Spectrum, measure
from stages.analyse.spectra import BANDS, block_side, luminance, reduced


def images(count: int, height: int, width: int, channels: int) -> np.ndarray:
    """Return random images."""
    shape = (count, height, width, channels)
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(9, 28, 28, 1), (6, 32, 48, 3), (3, 33, 28, 3)])
def test_equals_a_transform_of_the_whole_array(shape: tuple[int, int, int, int]) -> None:
    """The mean log-magnitude is that of one SciPy call on all luminances."""
    pixels = images(*shape)
    gray = pixels[..., 0].astype(float)
    if shape[3] == 3:
        gray = 0.299 * pixels[..., 0] + 0.587 * pixels[..., 1] + 0.114 * pixels[..., 2]
    expected = np.log10(1 + np.abs(dctn(gray, type=2, norm="ortho", axes=(1, 2)))).mean(axis=0)
    found = measure(pixels, ("spectra",)).spectrum
    assert found is not None
    assert found.block == 1
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=1e-9)


def test_the_profile_is_the_mean_over_rings() -> None:
    """Every coefficient is in the ring of its frequency, and energies add up to the variance."""
    pixels = images(5, 28, 41, 1)  # no frequency lies midway between two rings
    profile = spectrum(measure(pixels)).profile
    expected = spectrum(measure(pixels)).map
    v, u = np.meshgrid(np.arange(41) / 82, np.arange(28) / 56)
    nearest = np.abs(np.hypot(u, v)[..., None] - profile.frequency).argmin(axis=-1)
    for ring in range(len(profile.frequency)):
        inside = nearest == ring
        assert inside.sum() == profile.coefficients[ring]
        np.testing.assert_allclose(profile.log_magnitude[ring], expected[inside].mean())
    assert profile.coefficients.sum() == 28 * 41
    assert np.isnan(profile.energy_share[0])
    np.testing.assert_allclose(profile.energy_share[1:].sum(), 1)


def test_energy_is_that_of_the_pixels() -> None:
    """The transform is orthonormal: a cosine has all its energy in its own ring."""
    rows = 100 + 50 * np.cos(np.pi * (np.arange(32) + 0.5) * 6 / 32)
    wave = np.tile(np.rint(rows).astype(np.uint8)[:, None, None], (1, 1, 32, 1))
    profile = spectrum(measure(wave)).profile
    assert profile.energy_share[6] > 0.999
    assert profile.frequency[6] == 6 / 64


def test_an_even_image_has_a_spectrum() -> None:
    """Black images have zeros, and no share of an energy that is not there."""
    profile = spectrum(measure(np.zeros((2, 28, 28, 3), np.uint8))).profile
    assert not profile.log_magnitude.any()
    assert np.isnan(profile.energy_share).all()
    assert all(profile.band(name) == 0 for name in BANDS)


def test_a_gray_image_is_its_own_luminance() -> None:
    """Exactly, also as three equal channels."""
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(luminance(gray), gray[..., 0])
    assert np.array_equal(luminance(gray.repeat(3, axis=2)), gray[..., 0])


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 12), chunk=st.integers(1, 13), channels=st.sampled_from([1, 3]))
def test_grouping_changes_nothing(count: int, chunk: int, channels: int) -> None:
    """How many images are in memory at once does not change a bit of the result."""
    pixels = images(count, 28, 28, channels)
    whole, parts = measure(pixels), measure(pixels, chunk=chunk)
    assert np.array_equal(spectrum(whole).map, spectrum(parts).map)
    assert np.array_equal(
        spectrum(whole).profile.energy_share, spectrum(parts).profile.energy_share, equal_nan=True
    )
    assert np.array_equal(whole.counts, parts.counts)


@given(height=st.integers(1, 60), width=st.integers(1, 60), side=st.integers(1, 70))
def test_blocks_keep_the_mean(height: int, width: int, side: int) -> None:
    """A reduced spectrum has at most `side` cells a side, each the mean of its block."""
    values = np.random.default_rng(1).normal(size=(height, width))
    found, block = reduced(values, side), block_side(values.shape, side)
    assert max(found.shape) <= side
    np.testing.assert_allclose(found[0, 0], values[:block, :block].mean())
    rows, columns = ((n - 1) // block * block for n in values.shape)
    np.testing.assert_allclose(found[-1, -1], values[rows:, columns:].mean())


def test_a_large_spectrum_is_kept_as_blocks() -> None:
    """Memory does not grow with the size of images either."""
    found = spectrum(measure(images(1, 200, 600, 1)))
    assert found.block == 3
    assert max(found.map.shape) <= MAP_SIDE
    assert found.profile.coefficients.sum() == 200 * 600


def spectrum(measured: Measured) -> Spectrum:
    """Return the spectrum, which was measured."""
    assert measured.spectrum is not None
    return measured.spectrum
