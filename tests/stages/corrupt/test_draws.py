"""Whole numbers of one key: ranges, law, and the same numbers each time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corrupt.kernels.draws import Draws


@settings(deadline=None)
@given(key=st.integers(0, 2**63 - 1), low=st.integers(-1000, 1000), span=st.integers(0, 2**20))
def test_numbers_stay_in_their_range(key: int, low: int, span: int) -> None:
    """Every number lies between both ends, and a key gives the same numbers again."""
    first, again = Draws(key, 40), Draws(key, 40)
    numbers = [first.between(low, low + span) for _ in range(40)]
    assert all(low <= number <= low + span for number in numbers)
    assert numbers == [again.between(low, low + span) for _ in range(40)]


def test_more_numbers_begin_with_the_same_ones() -> None:
    """How many are made changes none of them."""
    few, many = Draws(5, 10), Draws(5, 5000)
    assert [few.between(0, 9999) for _ in range(10)] == [many.between(0, 9999) for _ in range(10)]


def test_levels_are_the_numbers_up_to_255() -> None:
    """An array of levels holds what asking for each of them gives."""
    one, other = Draws(7, 30), Draws(7, 30)
    assert one.between(1, 6) == other.between(1, 6)
    assert one.levels(20).tolist() == [other.between(0, 255) for _ in range(20)]
    assert one.between(1, 6) == other.between(1, 6)


def test_both_ends_are_as_likely_as_the_rest() -> None:
    """Numbers 3 to 17 are equally frequent.

    Of 60,000 numbers the test at 1e-4 finds one value that is 15 % off with a probability above
    0.99.
    """
    from scipy import stats

    draws = Draws(8, 60_000)
    counts = np.bincount([draws.between(3, 17) for _ in range(60_000)], minlength=18)
    assert counts[:3].sum() == 0
    assert stats.chisquare(counts[3:]).pvalue > 1e-4
