"""Grey-level densities: exact counts."""

from __future__ import annotations

import numpy as np
import pytest

from stages.analyse.densities import density, distance, mean_level, pooled
from stages.analyse.measure import measure


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_bincount_of_each_channel(channels: int) -> None:
    """Counts are those of `numpy.bincount` on the whole array."""
    shape = (7, 28, 31, channels)
    pixels = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    counts = measure(pixels, ("densities",), chunk=3).counts
    assert counts is not None
    assert counts.dtype == np.int64
    expected = [np.bincount(pixels[..., c].reshape(-1), minlength=256) for c in range(channels)]
    assert np.array_equal(counts, expected)
    assert np.array_equal(counts.sum(axis=1), [7 * 28 * 31] * channels)
    np.testing.assert_allclose(density(counts).sum(axis=1), 1)
    np.testing.assert_allclose(pooled(counts).sum(), 1)
    np.testing.assert_allclose(mean_level(counts), pixels.mean())


def test_distance_is_how_far_levels_moved() -> None:
    """Brighter by 17 is 17 away, also where a gray split became a set of three channels."""
    gray = np.random.default_rng(6).integers(0, 200, (4, 28, 28, 1)).astype(np.uint8)
    clean = measure(gray, ("densities",)).counts
    moved = measure((gray + 17).repeat(3, axis=3), ("densities",)).counts
    assert clean is not None
    assert moved is not None
    np.testing.assert_allclose(distance(moved, clean), 17)
    assert distance(clean, clean) == 0
