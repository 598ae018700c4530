"""Resampling and percentile intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stream import Stream
from stages.evaluate.bootstrap import Resampling, interval
from stages.evaluate.metrics import METRICS
from stages.evaluate.metrics.contract import Batch
from stages.evaluate.schema import Bootstrap

IDS = tuple(f"s{i:02}" for i in range(20))


def draw(
    ids: tuple[str, ...] = IDS,
    groups: tuple[str | None, ...] | None = None,
    dataset: str = "toy",
    split: str = "test",
    **options: int,
) -> Resampling:
    """Return the resampling of a small split."""
    return Resampling.draw(dataset, split, ids, groups, Bootstrap(**{"resamples": 50} | options))


def test_vectorised_values_equal_a_plain_loop() -> None:
    """Every replicate is the metric of the samples its resample drew, one at a time."""
    rng = np.random.default_rng(0)
    batch = Batch(rng.integers(0, 3, 20), rng.random((2, 20, 3)))
    weights = draw().weights
    for name, metric in METRICS.items():
        fast = metric(batch, weights)
        for index in range(50):
            drawn = Stream.of("bootstrap", 0, "toy", "test").child(index).below(20, 20)
            resample = Batch(batch.labels[drawn], batch.scores[:, drawn])
            slow = metric(resample, np.ones((1, 20), np.uint16))[0]
            assert fast[index] == pytest.approx(slow, abs=1e-12, nan_ok=True), name


def test_resamples_depend_on_dataset_split_and_seed_alone() -> None:
    """The same ids are drawn again every time; another dataset, split or seed draws others."""
    weights = draw().weights
    assert np.array_equal(draw().weights, weights)
    for other in ({"dataset": "other"}, {"split": "val"}, {"seed": 1}):
        assert not np.array_equal(draw(**other).weights, weights)


def test_a_smaller_number_of_resamples_is_a_prefix() -> None:
    """Resample b is the same whatever the number of resamples."""
    assert np.array_equal(draw(resamples=7).weights, draw().weights[:7])
    assert draw(resamples=0).weights.shape == (0, 20)


def test_the_order_of_ids_does_not_matter() -> None:
    """A sample is drawn equally often wherever it stands."""
    order = np.random.default_rng(0).permutation(20)
    shuffled = draw(ids=tuple(IDS[i] for i in order))
    assert np.array_equal(shuffled.weights, draw().weights[:, order])


def test_images_of_a_patient_are_drawn_together() -> None:
    """Patients are the unit where known; an image without one is a unit of its own."""
    groups = ("a", "a", "b", "b", "b", None, "", *("c",) * 13)
    found = draw(groups=groups)
    assert (found.unit, found.units) == ("patient", 5)
    for members in ([0, 1], [2, 3, 4], list(range(7, 20))):
        assert (found.weights[:, members] == found.weights[:, members[:1]]).all()
    assert (found.weights[:, 5] != found.weights[:, 6]).any()
    units = found.weights[:, [0, 2, 5, 6, 7]]
    assert (units.sum(axis=1) == 5).all()


def test_without_any_patient_images_are_drawn() -> None:
    """Groups that are all unknown are the same as no groups."""
    assert draw(groups=("",) * 20).unit == "image"
    found = draw(groups=(None,) * 20)
    assert (found.unit, found.units) == ("image", 20)
    assert np.array_equal(found.weights, draw().weights)
    assert (found.weights.sum(axis=1) == 20).all()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.sampled_from([0.5, 0.9, 0.95]))
def test_intervals_are_percentiles(values: list[float], confidence: float) -> None:
    """The ends are the quantiles that leave equal tails."""
    low, high = interval(np.array(values)[:, None], confidence)
    tail = (1 - confidence) / 2
    assert [low[0], high[0]] == pytest.approx(np.quantile(values, [tail, 1 - tail]).tolist())


def test_undefined_replicates_widen_to_no_interval() -> None:
    """A few undefined replicates are left out; more than a tail of them leave no interval."""
    replicates = np.linspace(0, 1, 1000)[:, None].repeat(3, axis=1)
    replicates[:10, 1] = np.nan
    replicates[:30, 2] = np.nan
    low, high = interval(replicates, 0.95)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, False, True]
    nothing = interval(np.empty((0, 2)), 0.95)
    assert np.isnan(nothing).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of 200 nominal 90 % intervals for a known accuracy, between 83 and 96 % hold it."""
    rng = np.random.default_rng(3)
    right = (rng.random((200, 150)) < 0.7).astype(np.float64)
    scores = np.stack([right, 1 - right], axis=2)
    batch = Batch(np.zeros(150, np.int64), scores)
    weights = draw(ids=tuple(map(str, range(150))), resamples=400).weights
    low, high = interval(METRICS["accuracy"](batch, weights), 0.9)
    assert 0.83 <= ((low <= 0.7) & (high >= 0.7)).mean() <= 0.96
