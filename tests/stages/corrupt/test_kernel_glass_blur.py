"""Glass blur: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels import gaussian_filter, glass_blur
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt import kernels
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    GrayLikeItsCopies,
    any_severity,
    apart,
    images_of,
    severities_of,
)

SEVERITIES = severities_of("glass_blur")
by_reference = functools.partial(kernels.by_package, "glass_blur")

SIZES = ((32, 32), (33, 47), (64, 50), (70, 96))


class TestGlassBlur(CorruptionContract, GrayLikeItsCopies):
    suite = GRAY_STAYS
    corruption = "glass_blur"


def same_moves(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, image: NDArray[np.uint8], severity: int
) -> int:
    """Return how far ours and theirs are apart when both are given the same moves."""
    declared = SEVERITIES[severity - 1]
    reach = declared["max_delta"]
    moves = glass_blur.draw_moves(image.size, declared["iterations"], image.shape, reach)
    given = iter(moves.reshape(-1, 2))
    monkeypatch.setattr(np.random, "randint", lambda low, high, size: next(given))
    theirs = by_reference(package, image, severity)
    assert next(given, None) is None
    return apart(glass_blur.apply_moves(image, moves, reach, declared["sigma"]), theirs)


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_matches_the_package_with_the_same_moves(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], severity: int
) -> None:
    """Given the same moves, images of all sizes are within 1 grey level."""
    for image in images_of(*size):
        assert same_moves(package, monkeypatch, image, severity) <= 1


@any_severity
def test_it_matches_the_package_on_real_images(
    package: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    real_images: dict[str, NDArray[np.uint8]],
    severity: int,
) -> None:
    """Given the same moves, real images are within 1 grey level."""
    for image in real_images.values():
        part = np.ascontiguousarray(image[-96:, :110])
        assert same_moves(package, monkeypatch, part, severity) <= 1


@any_severity
def test_truncation_of_flat_images_is_the_package_s(package: ModuleType, severity: int) -> None:
    """Every flat level is within 1 of the package's, although two truncations may add up."""
    sigma = SEVERITIES[severity - 1]["sigma"]
    moves = np.zeros((0, 0, 0, 2), np.int8)
    for level in range(256):
        image = np.full((16, 16, 3), level, np.uint8)
        once = np.uint8(package.gaussian(image / 255.0, sigma, multichannel=True) * 255)
        twice = np.uint8(package.gaussian(once / 255.0, sigma, multichannel=True) * 255)
        assert apart(glass_blur.apply_moves(image, moves, 0, sigma), twice) <= 1


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
def test_moves_are_uniform_and_independent(reach: int) -> None:
    """All (2 reach)**2 moves are equally likely.

    With 2 million moves the test at 1e-4 finds any one of 64 cells that is 4 % off with a
    probability above 0.99.
    """
    from scipy import stats

    moves = glass_blur.draw_moves(11, 2, (1008, 1008, 3), reach).reshape(-1, 2).astype(int)
    assert moves.min() == -reach
    assert moves.max() == reach - 1
    cells = (moves[:, 0] + reach) * 2 * reach + moves[:, 1] + reach
    assert stats.chisquare(np.bincount(cells, minlength=4 * reach * reach)).pvalue > 1e-4
    follows = np.corrcoef(moves[:-1].T, moves[1:].T)[:2, 2:]
    assert np.abs(follows).max() < 5 / np.sqrt(len(moves))


@pytest.mark.parametrize("sigma", [0.28, 0.7, 0.9, 1.0, 1.1, 1.5, 6.0, 20.48])
@pytest.mark.parametrize("truncate", [3.0, 4.0])
def test_weights_are_those_of_scipy(sigma: float, truncate: float) -> None:
    """The filter's answer to an impulse is the weights, within 1e-15."""
    from scipy import ndimage

    weights = gaussian_filter.half_weights(sigma, truncate)
    impulse = np.zeros(2 * weights.size + 1)
    impulse[weights.size] = 1.0
    theirs = ndimage.gaussian_filter1d(impulse, sigma, truncate=truncate, mode="constant")
    assert np.abs(theirs[weights.size : -1] - weights).max() < 1e-15
    assert theirs[-1] == 0.0
