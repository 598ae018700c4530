"""Eq. 6 to 8: the public formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.evaluate import (
    average_accuracy,
    clean_error,
    corruption_error,
    harmonic_mean,
    mean_corruption_error,
    relative_corruption_error,
    relative_mean_corruption_error,
    undefined_ratio,
)

ERRORS = arrays(np.float64, (3, 5), elements=st.floats(0.01, 1.0))


@given(error=ERRORS, baseline=ERRORS)
def test_formulas_equal_their_written_out_sums(error: np.ndarray, baseline: np.ndarray) -> None:
    """CE is a ratio of sums over severities, mCE the plain mean of CE over corruptions."""
    each = [sum(error[c]) / sum(baseline[c]) for c in range(3)]
    assert corruption_error(error, baseline) == pytest.approx(each)
    assert mean_corruption_error(error, baseline) == pytest.approx(sum(each) / 3)
    assert clean_error(error[0, 0], baseline[0, 0]) == error[0, 0] / baseline[0, 0]
    assert average_accuracy(1 - error) == pytest.approx(1 - error.mean())


def test_leading_axes_broadcast_and_single_values_are_numbers() -> None:
    """Several encoders share one baseline; without leading axes a plain number comes back."""
    errors = np.full((4, 7, 5), 0.5)
    assert np.array_equal(corruption_error(errors, np.full((7, 5), 0.25)), np.full((4, 7), 2.0))
    assert np.array_equal(mean_corruption_error(errors, np.full((7, 5), 0.25)), np.full(4, 2.0))
    assert isinstance(corruption_error([0.2, 0.4], [0.4, 0.8]), float)
    assert isinstance(mean_corruption_error([[0.2, 0.4]], [[0.4, 0.8]]), float)
    assert isinstance(average_accuracy([[0.2, 0.4]]), float)


@pytest.mark.parametrize("tiny", [0.0, 1e-300, 1e-9, 9e-4, np.nan])
def test_a_zero_or_tiny_baseline_gives_nan_and_is_pointed_out(tiny: float) -> None:
    """A ratio over almost nothing is never a number nor infinite, and the helper says which."""
    baseline = np.array([[0.2] * 5, [tiny] * 5])
    ratios = corruption_error(np.full((2, 5), 0.3), baseline)
    assert np.array_equal(np.isnan(ratios), [False, True])
    assert np.array_equal(undefined_ratio(baseline), [False, True])
    assert np.isnan(corruption_error([0.0] * 5, [tiny] * 5))
    assert np.isnan(clean_error(0.3, tiny))
    assert np.isnan(mean_corruption_error(np.full((2, 5), 0.3), baseline))


def test_the_threshold_is_on_the_mean_over_severities() -> None:
    """One mistake at one severity does not make the ratio undefined if the mean is large enough."""
    assert corruption_error([0.0, 0.1], [0.0, 0.1]) == 1.0
    assert np.isnan(corruption_error([0.0, 0.1], [0.0, 0.1], smallest=0.06))
    assert np.isnan(corruption_error([0.1], [0.0], smallest=0.0))


@pytest.mark.parametrize(
    ("error", "baseline"), [([0.1] * 5, [0.1]), ([0.1] * 5, [0.1] * 4), ([], []), (0.1, 0.1)]
)
def test_severities_that_do_not_match_are_refused(error: object, baseline: object) -> None:
    """Sums over different severities would not be comparable, so nothing is broadcast there."""
    with pytest.raises(ValueError, match="severit"):
        corruption_error(error, baseline)  # type: ignore[arg-type]


CLEAN = st.floats(0.0, 0.3)


@given(error=ERRORS, clean=CLEAN, loss=ERRORS, baseline_clean=CLEAN)
def test_relative_ratios_equal_their_written_out_sums(
    error: np.ndarray, clean: float, loss: np.ndarray, baseline_clean: float
) -> None:
    """Relative CE is a ratio of sums of E - E_clean, relative mCE its plain mean."""
    baseline = baseline_clean + loss
    each = [
        sum(e - clean for e in error[c]) / sum(e - baseline_clean for e in baseline[c])
        for c in range(3)
    ]
    found = [
        relative_corruption_error(error[c], clean, baseline[c], baseline_clean) for c in range(3)
    ]
    kept = ~np.isnan(found)
    assert np.array(found)[kept] == pytest.approx(np.array(each)[kept], abs=1e-9)
    assert (loss.mean(axis=1)[~kept] < 0.01 + 1e-12).all()
    mean = relative_mean_corruption_error(error, clean, baseline, baseline_clean)
    assert mean == pytest.approx(np.mean(found), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("loss", [-0.2, -1e-9, 0.0, 0.0036, np.nan])
def test_a_baseline_that_loses_nothing_gives_no_relative_ratio(loss: float) -> None:
    """Neither a negative nor a tiny denominator becomes a number."""
    assert np.isnan(relative_corruption_error([0.5] * 5, 0.3, [0.3 + loss] * 5, 0.3))


def test_relative_ratios_broadcast_over_resamples() -> None:
    """Leading axes are kept: resamples before corruptions before severities."""
    errors, clean = np.full((4, 7, 5), 0.5), np.full(4, 0.1)
    found = relative_mean_corruption_error(errors, clean, np.full((7, 5), 0.3), 0.1)
    assert found == pytest.approx(np.full(4, 2.0))


@given(a=st.floats(0.01, 1), b=st.floats(0.01, 1))
def test_the_harmonic_mean_lies_between_and_nearer_the_smaller(a: float, b: float) -> None:
    """It is 2ab/(a+b), and 0 where both are 0."""
    found = harmonic_mean(a, b)
    assert min(a, b) - 1e-12 <= found <= (a + b) / 2 + 1e-12
    assert found == pytest.approx(1 / ((1 / a + 1 / b) / 2))
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_average_accuracy_keeps_leading_axes() -> None:
    """Corruptions and severities are averaged, encoders are not."""
    accuracies = np.linspace(0.0, 1.0, 30).reshape(2, 3, 5)
    found = average_accuracy(accuracies)
    assert found == pytest.approx([accuracies[0].mean(), accuracies[1].mean()])


def test_errors_are_given_by_name_and_thresholds_by_name_only() -> None:
    """Every argument has a name, and no threshold is taken for an error."""
    pair = {"error": [[0.2]], "baseline_error": [[0.1]]}
    assert corruption_error(**pair) == pytest.approx([2.0])
    assert mean_corruption_error(**pair) == pytest.approx(2.0)
    assert clean_error(error=0.2, baseline_error=0.1) == pytest.approx(2.0)
    cleans = {"clean": 0.1, "baseline_clean": 0.05}
    assert relative_mean_corruption_error(**pair, **cleans) == pytest.approx(2.0)
    one = {"error": [0.2], "baseline_error": [0.1], **cleans}
    assert relative_corruption_error(**one) == pytest.approx(2.0)
    assert np.all(undefined_ratio(baseline_error=[0.0]))
    for function in (corruption_error, mean_corruption_error, clean_error):
        with pytest.raises(TypeError):
            function([[0.2]], [[0.1]], 0.5)  # type: ignore[call-arg]


@pytest.mark.parametrize("shape", [(3, 0), (2, 3, 0), (2, 2, 3, 0)])
def test_an_axis_without_entries_is_refused(shape: tuple[int, ...]) -> None:
    """Whatever stands before it."""
    empty = np.empty(shape)
    for function in (corruption_error, mean_corruption_error):
        with pytest.raises(ValueError, match="axis with entries"):
            function(empty, empty)
    with pytest.raises(ValueError, match="a corruption and a severity axis with entries"):
        average_accuracy(np.empty((4, 0, 5)))
