"""Draws of few train samples: stratified, seeded, nested."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from stages.evaluate.protocols.few_shot import few_shot_rows

CLASSES = ("a", "b", "c")
LABELS = st.lists(st.integers(0, 2), min_size=30, max_size=90).map(
    lambda labels: np.array([*labels, *[0, 1, 2] * 10])
)
IDENTITY = ("pbc", "train")


@given(LABELS, st.integers(1, 10), st.integers(0, 3))
def test_k_of_each_class(labels: np.ndarray, k: int, seed: int) -> None:
    """Every class has exactly k rows, ascending and different."""
    rows = few_shot_rows(labels, CLASSES, IDENTITY, seed, k=k)
    assert np.bincount(labels[rows], minlength=3).tolist() == [k, k, k]
    assert (np.diff(rows) > 0).all()


@given(LABELS, st.floats(0.001, 1.0), st.integers(0, 3))
def test_a_share_of_each_class(labels: np.ndarray, fraction: float, seed: int) -> None:
    """Every class has its rounded share, and one at least."""
    rows = few_shot_rows(labels, CLASSES, IDENTITY, seed, fraction=fraction)
    shares = fraction * np.bincount(labels, minlength=3)
    assert np.bincount(labels[rows], minlength=3).tolist() == [
        max(1, int(np.floor(share + 0.5))) for share in shares
    ]


@given(LABELS, st.integers(1, 9), st.integers(0, 3))
def test_smaller_draws_are_parts_of_larger_ones(labels: np.ndarray, k: int, seed: int) -> None:
    """One more of each class adds rows and takes none away."""
    few = set(few_shot_rows(labels, CLASSES, IDENTITY, seed, k=k).tolist())
    assert few < set(few_shot_rows(labels, CLASSES, IDENTITY, seed, k=k + 1).tolist())


def test_seeds_and_datasets_draw_differently() -> None:
    """Another seed, or another dataset, takes other rows; the same takes the same."""
    labels = np.repeat([0, 1, 2], 200)
    first, again = (few_shot_rows(labels, CLASSES, IDENTITY, 0, k=5) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, few_shot_rows(labels, CLASSES, IDENTITY, 1, k=5))
    assert not np.array_equal(first, few_shot_rows(labels, CLASSES, ("oct", "train"), 0, k=5))


def test_a_class_with_too_few_samples_is_named() -> None:
    """The message names class, id and both counts."""
    labels = np.array([0, 0, 0, 1, 2, 2, 2])
    with pytest.raises(DataError, match=r"'b' \(id 1\) has 1 train samples of 2"):
        few_shot_rows(labels, CLASSES, IDENTITY, 0, k=2)
    with pytest.raises(DataError, match="has 0 train samples of 1"):
        few_shot_rows(labels[:3], CLASSES, IDENTITY, 0, fraction=0.1)
    for amounts in ({}, {"k": 1, "fraction": 0.1}):
        with pytest.raises(ValueError, match="either"):
            few_shot_rows(labels, CLASSES, IDENTITY, 0, **amounts)
