"""Paired tests between two classifiers, and corrections for making many of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.stream import Stream
from stages.evaluate.metrics.contract import slice_length

Floats: TypeAlias = NDArray[np.float64]
Statistics: TypeAlias = Callable[[Floats], Floats]
"""From sums of differences (F, M) to statistics (F, T)."""

LEVEL = 0.05
"""A corrected p-value below it is called certain."""
FLIPS = 9_999
"""Random sign flips of a test: the smallest p-value is 1 / (FLIPS + 1)."""
_SAME = 1e-9
"""Statistics closer than this are equal: far below what one answer changes, far above rounding."""


def sign_flip_test(
    stream: Stream,
    differences: Floats,
    statistics: Statistics,
    flips: int = FLIPS,
) -> Floats:
    """Return two-sided p-values of the randomisation test of paired differences, (T,).

    If two encoders were equally good, exchanging their answers on any patient (or image) would
    change nothing but the sign of that unit's difference. Each flip exchanges the answers on a
    random half of the units; p is the share of flips, the observed state counted as one (Phipson
    and Smyth 2010), whose statistic is at least as far from zero.

    Parameters
    ----------
    stream
        Where the flips come from: flip f exchanges the same units whatever is tested.
    differences
        What each unit adds to M linear differences between the encoders, (U, M).
    statistics
        From sums of differences (F, M) to T statistics (F, T), odd under exchange. One that is NaN
        counts as far from zero; p is NaN where the observed one is.
    flips
        Number of flips.
    """
    total = differences.sum(axis=0)
    observed = np.abs(statistics(total[None])[0])
    reached = np.ones(len(observed))
    units = len(differences)
    words = -(-units // 64)
    drawn = stream.words(flips * words).astype("<u8").view(np.uint8).reshape(flips, words * 8)
    step = slice_length(units * 8, flips)
    for start in range(0, flips, step):
        bits = np.unpackbits(drawn[start : start + step], axis=1, count=units, bitorder="little")
        # An exchanged unit counts with the other sign.
        sums = total - 2.0 * (bits.astype(np.float64) @ differences)
        values = np.abs(statistics(sums))
        reached += (~(values < observed - _SAME)).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, reached / (flips + 1))


def mcnemar_exact(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Floats:
    """Return two-sided p-values of McNemar's exact test, (S,).

    Of the samples on which exactly one of two classifiers is right, each is as likely to be the
    one as the other: p is twice the binomial tail, at most 1 (McNemar 1947).

    Parameters
    ----------
    first, second
        Whether each classifier is right, (n, S).
    """
    from scipy.special import bdtr

    only_first = (first & ~second).sum(axis=0)
    only_second = (second & ~first).sum(axis=0)
    either = only_first + only_second
    tail = bdtr(np.minimum(only_first, only_second).astype(np.float64), either, 0.5)
    return np.asarray(np.minimum(1.0, 2.0 * tail), np.float64)


def holm(p: ArrayLike) -> Floats:
    """Return p-values adjusted by Holm (1979): no false rejection at all, at the usual level.

    NaN stays NaN and does not count.
    """
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    left = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(left * values[order]))
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Return p-values adjusted by Benjamini and Hochberg (1995): the share of false rejections.

    NaN stays NaN and does not count. The same as `scipy.stats.false_discovery_control`, which takes
    a second to load.
    """
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(-values[known], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum.accumulate(np.minimum(1.0, values[order] * len(order) / ranks))
    return adjusted


def unit_sums(values: Floats, unit_of_row: NDArray[np.intp], units: int) -> Floats:
    """Return the sums over the rows of each unit, (units, M), of values (n, M)."""
    columns = [np.bincount(unit_of_row, weights=column, minlength=units) for column in values.T]
    return np.stack(columns, axis=1).astype(np.float64)
