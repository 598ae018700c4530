"""Embedding shifts: each measure against its plain formula, and what may not change it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from sklearn.metrics import roc_auc_score

from stages.analyse.resampling import Resamples, interval
from stages.analyse.shift import (
    Clean,
    Moments,
    Neighbours,
    auroc,
    frechet_distance,
    measure_shift,
    normalised,
    resampled_auroc,
)

Matrix = NDArray[np.float64]


def ids(count: int) -> list[str]:
    """Return names of images."""
    return [f"image-{number}" for number in range(count)]


def pairs(count: int, width: int, amount: float, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return clean embeddings, and the same moved at random."""
    rng = np.random.default_rng(seed)
    clean = rng.normal(size=(count, width)) + 0.5
    return clean, clean + amount * rng.normal(size=(count, width))


def resamples(count: int, number: int = 50) -> Resamples:
    """Return few resamples of images."""
    return Resamples.draw("tiny", "test", ids(count), None, number)


@given(st.integers(2, 40), st.integers(1, 60), st.sampled_from(["f2", "f4", "f8"]))
@settings(max_examples=40, deadline=None)
def test_equal_embeddings_have_not_moved(count: int, width: int, dtype: str) -> None:
    """Distances are 0, all neighbours stay, and nothing can be told apart."""
    clean, _ = pairs(count, width, 0)
    clean = clean.astype(dtype)
    found = measure_shift(Clean(clean), clean.copy(), resamples(count))
    assert found.cosine.value == found.cosine.low == found.cosine.high == 0
    assert found.quartiles == (0, 0, 0)
    assert found.frechet < 1e-12
    assert found.auroc.value == found.auroc.low == found.auroc.high == 0.5
    assert found.top1.value == 1
    if count > 11:
        assert found.kept.value == 1
        assert found.kept_by_chance == 10 / (count - 1)
    else:
        assert np.isnan(found.kept.value)
        assert np.isnan(found.kept_by_chance)


@given(st.integers(12, 30), st.integers(2, 40), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_rotation_and_length_change_nothing(count: int, width: int, seed: int) -> None:
    """All measures are of directions: turned together or made longer, embeddings give the same."""
    clean, moved = pairs(count, width, 0.3, seed)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(width, width)))
    longer = rng.uniform(0.1, 50, (count, 1))
    one = measure_shift(Clean(clean), moved, resamples(count))
    other = measure_shift(Clean(clean @ turn * 7), moved @ turn * longer, resamples(count))
    for name in ("cosine", "auroc"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value, abs=0.02)
    np.testing.assert_allclose(one.quartiles, other.quartiles, atol=1e-9)
    assert one.frechet == pytest.approx(other.frechet, abs=1e-9)
    assert one.kept.value == pytest.approx(other.kept.value, abs=0.02)
    assert one.top1.value == pytest.approx(other.top1.value, abs=0.04)


def test_distance_of_pairs_is_the_cosine_distance() -> None:
    """Mean and quartiles are those of 1 - cos, each pair alone; opposite ones are 2 apart."""
    clean, moved = pairs(30, 5, 0.8)
    found = measure_shift(Clean(clean), moved, resamples(30))
    plain = [
        1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(clean, moved, strict=True)
    ]
    assert found.cosine.value == pytest.approx(np.mean(plain))
    np.testing.assert_allclose(found.quartiles, np.percentile(plain, [25, 50, 75]))
    assert found.cosine.low < found.cosine.value < found.cosine.high
    assert measure_shift(Clean(clean), -clean, resamples(30)).cosine.value == pytest.approx(2)


@pytest.mark.parametrize(("count", "width"), [(200, 6), (60, 20), (40, 41)])
def test_frechet_distance_is_the_textbook_one(count: int, width: int) -> None:
    """Equal to the formula with a root of the product of covariances, where that can be taken."""
    clean, moved = (normalised(rows) for rows in pairs(count, width, 0.7))
    found = frechet_distance(Moments.of(clean), Moments.of(moved))
    one, other = np.cov(clean, rowvar=False), np.cov(moved, rowvar=False)
    # The root of a singular product loses half the digits: that is what ours is without.
    root = np.trace(sqrtm((one @ other).astype(np.complex128))).real
    apart = np.square(clean.mean(axis=0) - moved.mean(axis=0)).sum()
    plain = apart + np.trace(one) + np.trace(other) - 2 * root
    assert found == pytest.approx(plain, abs=1e-6 if count <= width else 1e-10)
    assert found > 0.01


def test_frechet_distance_of_fewer_images_than_dimensions() -> None:
    """Padding with zeros adds dimensions and no distance; a shift alone counts as its square."""
    clean, moved = (normalised(rows) for rows in pairs(20, 6, 0.7))
    padded = [np.pad(rows, ((0, 0), (0, 100))) for rows in (clean, moved)]
    wide = frechet_distance(*(Moments.of(rows) for rows in padded))
    assert wide == pytest.approx(frechet_distance(Moments.of(clean), Moments.of(moved)), abs=1e-12)
    shifted = frechet_distance(Moments.of(padded[0]), Moments.of(padded[0] + 0.25))
    assert shifted == pytest.approx(106 * 0.25**2)


def test_neighbours_are_those_of_a_plain_search() -> None:
    """The k others of largest cosine, the image's own clean version left out."""
    clean, moved = (normalised(rows) for rows in pairs(40, 4, 0.5))
    base, found = Neighbours.found(clean, clean, 5), Neighbours.found(moved, clean, 5)
    cosines = moved @ clean.T
    among = cosines.copy()
    np.fill_diagonal(among, -np.inf)
    nearest = np.argsort(-among, axis=1)[:, :5]
    assert np.array_equal(np.sort(found.nearest, axis=1), np.sort(nearest, axis=1))
    np.testing.assert_allclose(found.distance, 1 - among.max(axis=1), atol=1e-6)
    assert np.array_equal(found.own, cosines.diagonal() >= among.max(axis=1))
    assert 0 < found.own.mean() < 1
    kept = [len(set(a) & set(b)) / 5 for a, b in zip(found.nearest, base.nearest, strict=True)]
    np.testing.assert_allclose(found.kept(base), kept)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search in blocks finds what one search finds."""
    clean, moved = (normalised(rows) for rows in pairs(50, 8, 0.5))
    whole = Neighbours.found(moved, clean)
    scores = resampled_auroc(whole.distance, whole.distance[::-1].copy(), resamples(50))
    monkeypatch.setattr("stages.analyse.shift._BLOCK", 350)
    parts = Neighbours.found(moved, clean)
    assert np.array_equal(np.sort(whole.nearest), np.sort(parts.nearest))
    np.testing.assert_allclose(whole.distance, parts.distance, atol=1e-6)
    again = resampled_auroc(whole.distance, whole.distance[::-1].copy(), resamples(50))
    assert np.array_equal(scores, again)


def test_two_of_one_image_count_as_nearest() -> None:
    """Where the split holds an image twice, its corrupted version has found its own."""
    clean, _ = pairs(20, 6, 0)
    clean[1] = clean[0]
    assert measure_shift(Clean(clean), clean, resamples(20)).top1.value == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_auroc_is_that_of_scikit_learn(scores: list[int], seed: int) -> None:
    """With ties too, and in each resample with the images' weights."""
    negative = np.array(scores, np.float64)
    positive = np.random.default_rng(seed).integers(0, 6, len(scores)).astype(np.float64)
    labels = np.repeat([0, 1], len(scores))
    both = np.concatenate([negative, positive])
    assert auroc(negative, positive) == pytest.approx(roc_auc_score(labels, both))
    drawn = resamples(len(scores), 5)
    for weights, found in zip(
        drawn.weights, resampled_auroc(negative, positive, drawn), strict=True
    ):
        expected = roc_auc_score(labels, both, sample_weight=np.tile(weights, 2))
        assert found == pytest.approx(expected)


def test_auroc_tells_what_is_far_from_what_is_near() -> None:
    """Images moved away from all others are told apart always, those moved onto them never."""
    assert auroc(np.zeros(4), np.ones(3)) == 1
    assert auroc(np.ones(4), np.zeros(3)) == 0
    clean = np.random.default_rng(3).normal(size=(30, 8)) * 0.1
    clean[:, 0] = 1
    away = clean.copy()
    away[:, 1] = np.linspace(5, 9, 30)
    assert measure_shift(Clean(clean), away, resamples(30)).auroc.value == 1
    onto = np.roll(clean, 1, axis=0)
    found = measure_shift(Clean(clean), onto, resamples(30))
    assert found.auroc.value == 0
    assert found.top1.value == 0


def test_resamples_are_of_patients_where_these_are_known() -> None:
    """Images of one patient are drawn together; order and number of resamples change nothing."""
    names, patients = ids(6), ["a", "b", "a", None, "", "b"]
    drawn = Resamples.draw("tiny", "test", names, patients, 40)
    assert drawn.unit == "patient"
    assert np.array_equal(drawn.weights[:, 0], drawn.weights[:, 2])
    assert np.array_equal(drawn.weights[:, 1], drawn.weights[:, 5])
    assert not np.array_equal(drawn.weights[:, 3], drawn.weights[:, 4])
    backwards = Resamples.draw("tiny", "test", names[::-1], patients[::-1], 10)
    assert np.array_equal(backwards.weights[:, ::-1], drawn.weights[:10])
    alone = Resamples.draw("tiny", "test", names, [None] * 6, 10)
    assert alone.unit == "image"
    assert (alone.weights.sum(axis=1) == 6).all()
    some = alone.of(np.array([4, 1]))
    assert np.array_equal(some.weights, alone.weights[:, [4, 1]])


def test_interval_covers_the_mean() -> None:
    """The 95 % interval of a mean is that of the normal distribution, where this holds."""
    values = np.random.default_rng(8).normal(size=(400, 1))
    low, high = interval(resamples(400, 1000).means(values)[:, 0])
    error = values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.01)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.01)
    assert np.isnan(interval(np.full(4, np.nan))).all()
