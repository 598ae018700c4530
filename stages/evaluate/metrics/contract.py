"""What every metric is given and gives back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics.counting import Weights as Weights  # noqa: PLC0414 - re-exported
from stages.evaluate.metrics.counting import as_floats, totals

Floats: TypeAlias = NDArray[np.float64]


class Hits(NamedTuple):
    """Samples of each class, and those of them that are recognised."""

    sizes: Floats
    """Shape (K, B, 1)."""
    right: Floats
    """Shape (K, B, S)."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The scores of one classifier on S sets of the same n samples."""

    labels: NDArray[np.int64]
    """Shape (n,): true class ids in [0, K). Of a multi-label task (n, K): 1 per class, or 0."""
    scores: Floats
    """Shape (S, n, K): class probabilities; those of a multi-label task need not sum to 1."""
    clean: int | None = None
    """Which of the S sets is the split as it is; None where it is not among them."""
    _hits: dict[int, tuple[Weights, Hits]] = field(default_factory=dict, init=False, repr=False)

    @property
    def multi_label(self) -> bool:
        """Whether a sample may have any number of the classes."""
        return self.labels.ndim == 2

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return int(self.scores.shape[2])

    def by_label(self) -> Iterator[Batch]:
        """Yield a batch of two classes, absent and present, for each label of a multi-label task.

        A probability of exactly 0.5 is a tie, which goes to absent.
        """
        for label in range(self.classes):
            yield self.label(label)

    def label(self, label: int) -> Batch:
        """Return one label of a multi-label task as a batch of two classes, absent and present."""
        present = self.scores[:, :, label]
        scores = np.stack([1.0 - present, present], axis=-1)
        return Batch(self.labels[:, label], scores, self.clean)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Shape (S, n): arg max class ids, ties to the lowest."""
        return np.asarray(self.scores.argmax(axis=2), np.int64)

    @cached_property
    def correct(self) -> Floats:
        """Shape (n, S): 1 where the prediction is right, else 0."""
        return np.ascontiguousarray((self.predicted == self.labels).T, np.float64)

    def hits(self, weights: Weights) -> Hits:
        """Return how many samples of each class there are and are recognised.

        Several metrics ask for them, so they are remembered.
        """
        _, found = self._hits.get(id(weights), (None, None))
        if found is None:
            found = self._counted(weights)
            self._hits[id(weights)] = weights, found  # keeps the array, and so its id
        return found

    def _counted(self, weights: Weights) -> Hits:
        sizes = np.zeros((self.classes, len(weights), 1))
        right = np.zeros((self.classes, len(weights), len(self.scores)))
        for class_id in range(self.classes):
            members = np.flatnonzero(self.labels == class_id)
            if members.size:
                of_class = weights[:, members]
                sizes[class_id] = of_class.sum(axis=1, dtype=np.int64)[:, None]
                right[class_id] = weighted_sums(of_class, self.correct[members])
        return Hits(sizes, right)


Metric: TypeAlias = Callable[[Batch, Weights], Floats]
"""From a batch and the counts (B, n) of how often each of B resamples holds each sample, to the
metric's values (B, S); NaN where it is undefined. Counts of all ones give the metric itself."""


def over_labels(metric: Metric) -> Metric:
    """Return `metric` as the plain mean over labels where the task is multi-label.

    Each label is scored as a task of two classes by itself. One whose value is undefined is left
    out of the mean; without any the value is NaN. Single-label batches are passed on as they are.
    """

    @functools.wraps(metric)
    def values(batch: Batch, weights: Weights) -> Floats:
        if not batch.multi_label:
            return metric(batch, weights)
        each = np.stack([metric(one, weights) for one in batch.by_label()])
        defined = (~np.isnan(each)).sum(axis=0)
        total: Floats = np.nansum(each, axis=0)
        mean: Floats = np.full_like(total, np.nan)
        np.divide(total, defined, out=mean, where=defined > 0)
        return mean

    return values


def weighted_sums(weights: Weights, values: Floats) -> Floats:
    """Return ``weights @ values``, (B, S), of counts (B, n) and integers (n, S).

    Sums of integers below 2**53 are exact in float64, so the result does not depend on the order
    in which BLAS adds. The counts are converted in slices to keep memory flat.
    """
    if (floats := as_floats(weights)) is not None:
        return np.asarray(floats @ values, np.float64)
    out = np.empty((len(weights), values.shape[1]))
    step = slice_length(weights.shape[1] * 8, len(weights))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        np.matmul(weights[part].astype(np.float64), values, out=out[part])
    return out


def weighted_means(weights: Weights, values: Floats, largest: float) -> Floats:
    """Return the mean over samples of `values` (n, S) under counts (B, n), shape (B, S).

    Parameters
    ----------
    weights
        How often each resample holds each sample, (B, n).
    values
        Finite numbers, (n, S).
    largest
        Bound on their absolute values: of the metric, not of these samples, so that what one
        set gives does not depend on which others are there.
    """
    sums = weighted_totals(weights, values, largest)
    return np.asarray(sums / totals(weights), np.float64)


def weighted_totals(weights: Weights, values: Floats, largest: float) -> Floats:
    """Return ``weights @ values``, (B, S), of values within +-`largest`, rounded to a grid.

    The grid is the finest on which every sum is exact in float64, so the result depends on
    neither the order of additions nor the BLAS. At a thousand samples its step is 2**-43 times
    `largest`.
    """
    step = grid_step(weights, largest)
    return np.asarray(weighted_sums(weights, np.rint(values / step)) * step, np.float64)


def grid_step(weights: Weights, largest: float) -> float:
    """Return the power of two whose multiples up to `largest` have exact sums in any resample."""
    total = int(totals(weights).max(initial=1))
    return float(2.0 ** (math.ceil(math.log2(total)) + math.ceil(math.log2(largest)) - 53))


def slice_length(bytes_each: int, count: int, budget: int = 8 << 20) -> int:
    """Return how many resamples to take at once so that temporaries stay within `budget` bytes."""
    return max(1, min(count, budget // max(1, bytes_each)))
