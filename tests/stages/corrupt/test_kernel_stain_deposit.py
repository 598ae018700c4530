"""Stain deposit: its contract, and blots with the measures of the published ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels.draws import Draws
from stages.corrupt.kernels.stain_deposit import KERNEL, Mark, apply_marks, blot, draw_marks
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import gray_stays, images_of


@dataclass(frozen=True)
class Published:
    """Means over the ten ink pictures of one size in MedMNIST-C 0.1.0."""

    size: int
    """Pixels; side of the pictures."""

    share: float
    """Black part of the square, in [0, 1]; all ink is wholly black."""

    outline: float
    """Length of the outline along pixel edges, divided by the root of the area."""

    spread: float
    """Root mean square distance of the ink from its centre, divided by the size."""

    pieces: float
    """Parts that do not touch, not even by corners."""


PUBLISHED = [
    Published(size=24, share=0.6248, outline=5.31, spread=0.321, pieces=1.1),
    Published(size=32, share=0.5413, outline=6.72, spread=0.303, pieces=1.9),
]


class TestStainsOfBlood(CorruptionContract):
    suite = gray_stays("bloodmnist")
    corruption = KERNEL.name


class TestStainsOfTissue(CorruptionContract):
    suite = gray_stays("pathmnist")
    corruption = KERNEL.name


def measures(ink: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return share, outline, spread and pieces of a blot."""
    from scipy import ndimage

    padded = np.pad(ink, 1).astype(int)
    edges = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
    rows, columns = np.nonzero(ink)
    spread = np.sqrt(rows.var() + columns.var()) / len(ink)
    pieces = ndimage.label(ink, np.ones((3, 3)))[1]
    return float(ink.mean()), float(edges / np.sqrt(ink.sum())), float(spread), float(pieces)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda each: str(each.size))
def test_blots_have_the_published_measures(published: Published) -> None:
    """Mean area within 2 %, outline within 7 %, spread within 3 %, pieces within a third."""
    blots = [blot(Draws(key, 400), published.size, published.share) for key in range(400)]
    share, outline, spread, pieces = np.mean([measures(ink) for ink in blots], axis=0)
    assert share == pytest.approx(published.share, rel=0.02)
    assert outline == pytest.approx(published.outline, rel=0.07)
    assert spread == pytest.approx(published.spread, rel=0.03)
    assert pieces == pytest.approx(published.pieces, rel=0.33)


def test_shares_vary_as_the_published_ones_do() -> None:
    """Blots of 24 pixels cover 0.48 to 0.78 of their square, as the ten pictures do."""
    shares = [blot(Draws(key, 400), 24, 0.625).mean() for key in range(400)]
    assert min(shares) == pytest.approx(0.479, abs=0.02)
    assert max(shares) == pytest.approx(0.776, abs=0.02)
    assert np.std(shares) == pytest.approx(0.094, abs=0.01)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 47, 3), (224, 224, 3)], ids=str)
def test_ink_is_black_and_nothing_else_changes(shape: tuple[int, int, int]) -> None:
    """Given the same marks, pixels are those of the published product with 1 - ink."""
    marks = draw_marks(3, 5, 24, 0.625, shape)
    for image in images_of(shape):
        expected = image.copy()
        for x, y, ink in marks:
            square = expected[y : y + len(ink), x : x + len(ink)]
            square *= (1 - ink.astype(np.uint8))[:, :, np.newaxis]
        assert np.array_equal(apply_marks(image, marks), expected)


def test_one_mark_is_exactly_one() -> None:
    """A maximum of 1 leaves no choice."""
    assert {len(draw_marks(key, 1, 24, 0.625, (224, 224, 3))) for key in range(100)} == {1}


def test_numbers_and_places_have_the_published_law() -> None:
    """Numbers are uniform in 1..5 and corners in 10..190, both ends included.

    Of 3,000 images with about 9,000 marks the tests at 1e-4 find one number that is 25 % or one
    tenth of the places that is 25 % off with a probability of 0.99.
    """
    from scipy import stats

    drawn = [draw_marks(key, 5, 24, 0.625, (224, 224, 3)) for key in range(3000)]
    numbers = np.bincount([len(each) for each in drawn])
    assert numbers[0] == 0
    assert numbers.size == 6
    assert stats.chisquare(numbers[1:]).pvalue > 1e-4
    marks = [mark for each in drawn for mark in each]
    for places in ([mark.x for mark in marks], [mark.y for mark in marks]):
        assert (min(places), max(places)) == (10, 190)
        counts, edges = np.histogram(places, 10, (9.5, 190.5))
        widths = np.floor(edges[1:] - 1e-9) - np.floor(edges[:-1])
        expected = widths / widths.sum() * len(places)
        assert stats.chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 90, 1), (120, 40, 3), (50, 51, 3)], ids=str)
@pytest.mark.parametrize("size", [24, 32, 200])
def test_blots_fit_into_small_images(shape: tuple[int, int, int], size: int) -> None:
    """A blot is no wider than the image, and lies in it."""

    def inside(mark: Mark) -> bool:
        side = len(mark.ink)
        return 0 <= mark.x <= shape[1] - side and 0 <= mark.y <= shape[0] - side

    for key in range(20):
        marks = draw_marks(key, 3, size, 0.55, shape)
        assert all(len(mark.ink) == min(size, *shape[:2]) for mark in marks)
        assert all(inside(mark) for mark in marks)
