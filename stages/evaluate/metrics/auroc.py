"""Area under the ROC curve, one class against the rest, as an exact rank statistic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics.contract import (
    Batch,
    Floats,
    Weights,
    over_labels,
    slice_length,
)


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean AUROC over classes, or over labels of a multi-label task, (B, S) in [0, 1].

    The AUROC of a class is the chance that a sample of it scores higher on it than a sample of
    another class does, ties counting half (Hanley and McNeil 1982); samples count as often as
    `weights` says. Two classes have one curve, that of class 1. A class that does not occur, or
    is the only one, has no curve and is left out of the mean; without any curve the value is NaN.

    Scores of three or more classes are compared across samples after the softmax, so the value
    depends on the logit scale they were made with.
    """
    counts = _columns(weights)
    classes = range(batch.classes) if batch.classes > 2 else range(1, batch.classes)
    total = np.zeros((len(weights), len(batch.scores)))
    curves = np.zeros_like(total)
    for class_id in classes:
        inside = np.flatnonzero(batch.labels == class_id)
        outside = np.flatnonzero(batch.labels != class_id)
        if not (inside.size and outside.size):
            continue
        pairs = counts[inside].sum(axis=0, dtype=np.float64)
        pairs *= counts[outside].sum(axis=0, dtype=np.float64)
        for index, scores in enumerate(batch.scores[:, :, class_id]):
            wins = _wins(counts, scores, inside, outside)
            total[:, index] += wins / np.where(pairs > 0, pairs, 1.0)
            curves[:, index] += pairs > 0
    return np.divide(total, curves, out=np.full_like(total, np.nan), where=curves > 0)


def _columns(weights: Weights) -> NDArray[np.unsignedinteger]:
    """Return the counts as (n, B) in the narrowest type that holds the sum of a resample."""
    most = int(weights.sum(axis=1, dtype=np.int64).max())
    kind = np.uint16 if most <= np.iinfo(np.uint16).max else np.uint32
    return np.ascontiguousarray(weights.T, kind)


def _wins(
    counts: NDArray[np.unsignedinteger],
    scores: Floats,
    inside: NDArray[np.intp],
    outside: NDArray[np.intp],
) -> Floats:
    """Return how many (inside, outside) pairs the inside sample wins, (B,), ties counting half.

    Counts and half counts below 2**53 are exact in float64. Running sums are taken over the
    larger group and looked up for each sample of the smaller one.
    """
    if len(inside) > len(outside):
        scores, inside, outside = -scores, outside, inside
    order = outside[np.argsort(scores[outside])]
    ranked = scores[order]
    below = np.searchsorted(ranked, scores[inside], side="left")
    up_to = np.searchsorted(ranked, scores[inside], side="right")
    tied = bool((below != up_to).any())
    wins = np.empty(counts.shape[1])
    for part in _slices(counts.shape[1], len(outside) * counts.itemsize):
        lesser = _running_sums(counts[order, part])
        own = counts[inside, part]
        twice = _dot(own, lesser[below])
        twice = twice + _dot(own, lesser[up_to]) if tied else 2 * twice
        wins[part] = twice / 2
    return wins


def _slices(count: int, bytes_each: int) -> Iterator[slice]:
    step = slice_length(bytes_each, count, budget=4 << 20)
    for start in range(0, count, step):
        yield slice(start, start + step)


def _running_sums(rows: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Return the sums of the first 0, 1, …, n rows, (n + 1, B).

    A loop over rows, because np.cumsum along the first axis is several times slower.
    """
    sums = np.zeros((len(rows) + 1, rows.shape[1]), rows.dtype)
    for index, row in enumerate(rows):
        np.add(sums[index], row, out=sums[index + 1])
    return sums


def _dot(left: NDArray[np.unsignedinteger], right: NDArray[np.unsignedinteger]) -> Floats:
    """Return the sum over rows of the products, (B,)."""
    return np.asarray(
        np.einsum("ib,ib->b", left, right, dtype=np.float64, casting="unsafe"), np.float64
    )
