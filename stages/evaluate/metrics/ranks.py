"""How often one group of samples scores above another, in every resample at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics.contract import Floats, slice_length

Counts = NDArray[np.unsignedinteger]
_SLICE_BYTES = 4 << 20


def wins(counts: Counts, scores: Floats, others: Counts, other_scores: Floats) -> Floats:
    """Return how many pairs the first group wins over the second, (B,), ties counting half.

    Counts and half counts below 2**53 are exact in float64. Running sums are taken over the
    larger group and looked up for each sample of the smaller one.

    Parameters
    ----------
    counts, scores
        Of the first group: how often each resample holds each sample, (m, B), and (m,).
    others, other_scores
        Of the second.
    """
    if len(scores) > len(other_scores):
        counts, others = others, counts
        scores, other_scores = -other_scores, -scores
    order = np.argsort(other_scores)
    ranked = other_scores[order]
    below = np.searchsorted(ranked, scores, side="left")
    up_to = np.searchsorted(ranked, scores, side="right")
    tied = bool((below != up_to).any())
    found = np.empty(counts.shape[1])
    for part in resample_slices(counts, len(others)):
        lesser = running_sums(others[order, part])
        own = counts[:, part]
        twice = pairs(own, lesser[below])
        twice = twice + pairs(own, lesser[up_to]) if tied else 2 * twice
        found[part] = twice / 2
    return found


def resample_slices(counts: Counts, rows: int) -> Iterator[slice]:
    """Yield slices of resamples so that `rows` counts of each fit a processor's cache."""
    resamples = counts.shape[1]
    step = slice_length(rows * counts.itemsize, resamples, budget=_SLICE_BYTES)
    for start in range(0, resamples, step):
        yield slice(start, start + step)


def running_sums(rows: Counts) -> Counts:
    """Return the sums of the first 0, 1, …, n rows, (n + 1, B).

    np.cumsum along the first axis is several times slower. Blocks of about the square root of n
    rows are summed side by side and then put on top of each other: few calls on large arrays,
    which other threads can run beside.
    """
    length, resamples = rows.shape
    height = math.isqrt(length) + 1
    blocks = -(-length // height)
    sums = np.zeros((1 + blocks * height, resamples), rows.dtype)
    sums[1 : length + 1] = rows
    stacked = sums[1:].reshape(blocks, height, resamples)
    for step in range(1, height):
        np.add(stacked[:, step], stacked[:, step - 1], out=stacked[:, step])
    for block in range(1, blocks):
        np.add(stacked[block], stacked[block - 1, -1], out=stacked[block])
    return sums[: length + 1]


def pairs(left: Counts, right: Counts) -> Floats:
    """Return the sum over rows of the products, (B,), of counts of two groups of a resample.

    Below 2**16 samples in a resample their pairs are below 2**32.
    """
    if left.dtype == np.uint16:
        products = np.multiply(left, right, dtype=np.uint32)
        return np.asarray(products.sum(axis=0, dtype=np.uint32), np.float64)
    return dot(left, right)


def dot(left: Counts, right: Counts | Floats) -> Floats:
    """Return the sum over rows of the products, (B,)."""
    return np.asarray(
        np.einsum("ib,ib->b", left, right, dtype=np.float64, casting="unsafe"), np.float64
    )
