"""Paired tests and corrections for multiple comparisons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from pipeline.stream import Stream
from stages.evaluate.significance import benjamini_hochberg, holm, mcnemar_exact, sign_flip_test

STREAM = Stream.of("tests")
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def total(sums: np.ndarray) -> np.ndarray:
    """Return the sums themselves as statistics."""
    return sums


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_is_the_binomial_test_of_the_discordant(pairs: list[tuple[bool, bool]]) -> None:
    """Only samples on which one of the two is right count."""
    first, second = np.array(pairs).T
    wins, losses = int((first & ~second).sum()), int((second & ~first).sum())
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar_exact(first[:, None], second[:, None])[0] == pytest.approx(expected)


def test_sign_flips_agree_with_all_of_them() -> None:
    """The share of random flips is near that of every possible one."""
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1, (10, 3)).round(1)
    signs = np.array(list(itertools.product((1, -1), repeat=10)))
    far = np.abs(signs @ differences) >= np.abs(differences.sum(axis=0)) - 1e-9
    found = sign_flip_test(STREAM, differences, total)
    assert found == pytest.approx(far.mean(axis=0), abs=0.02)


def test_sign_flips_of_single_answers_are_mcnemars_test() -> None:
    """With differences of -1, 0 and 1 both tests have the same p-value."""
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 200)) < np.array([[0.75], [0.68]])
    exact = mcnemar_exact(first[:, None], second[:, None])[0]
    differences = (first.astype(float) - second)[:, None]
    assert sign_flip_test(STREAM, differences, total)[0] == pytest.approx(exact, abs=0.02)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    """Of 400 tests of equals about a twentieth has p below 0.05, about half below 0.5."""
    rng = np.random.default_rng(2)
    p = sign_flip_test(STREAM, rng.normal(size=(80, 400)), total, flips=999)
    assert 0.02 <= (p < 0.05).mean() <= 0.08
    assert 0.43 <= (p < 0.5).mean() <= 0.57


def test_no_difference_at_all_has_p_one_and_none_is_zero() -> None:
    """Equal answers give 1; the smallest p-value is one over the flips and the observed state."""
    differences = np.stack([np.zeros(70), np.ones(70)], axis=1)
    assert sign_flip_test(STREAM, differences, total).tolist() == [1.0, 1 / 10_000]


def test_flips_do_not_depend_on_slices_or_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer flips are the first of more, and however many are taken at once p is the same."""
    differences = np.random.default_rng(3).normal(size=(130, 2))
    whole = sign_flip_test(STREAM, differences, total, flips=500)
    monkeypatch.setattr("stages.evaluate.significance.slice_length", lambda *_: 7)
    assert np.array_equal(sign_flip_test(STREAM, differences, total, flips=500), whole)


def test_undefined_statistics() -> None:
    """An undefined observed value has no p-value; an undefined flip counts as far."""

    def undefined(sums: np.ndarray) -> np.ndarray:
        return np.stack([np.full(len(sums), np.nan), np.where(sums[:, 0] < 0, np.nan, 0.5)], axis=1)

    found = sign_flip_test(STREAM, np.ones((3, 1)), undefined)
    assert np.isnan(found[0])
    assert found[1] == 1.0


@given(P_VALUES)
def test_holm_is_the_step_down_procedure(p: list[float]) -> None:
    """Hypotheses are rejected in order of p until one exceeds the level over those left."""
    adjusted = holm(p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        assert adjusted[index] == pytest.approx(largest)


@given(P_VALUES)
def test_benjamini_hochberg_is_scipys(p: list[float]) -> None:
    """Undefined values are passed over by both corrections."""
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    with_gap = [*p, np.nan]
    assert benjamini_hochberg(with_gap)[:-1] == pytest.approx(benjamini_hochberg(p))
    assert holm(with_gap)[:-1] == pytest.approx(holm(p))
    assert np.isnan([benjamini_hochberg(with_gap)[-1], holm(with_gap)[-1]]).all()
