"""What every metric is given and gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.unsignedinteger]


@dataclass(frozen=True, eq=False)
class Batch:
    """The scores of one classifier on S sets of the same n samples."""

    labels: NDArray[np.int64]
    """Shape (n,): true class ids in [0, K)."""
    scores: Floats
    """Shape (S, n, K): class probabilities."""

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return int(self.scores.shape[2])

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Shape (S, n): arg max class ids, ties to the lowest."""
        return np.asarray(self.scores.argmax(axis=2), np.int64)

    @cached_property
    def correct(self) -> Floats:
        """Shape (n, S): 1 where the prediction is right, else 0."""
        return np.ascontiguousarray((self.predicted == self.labels).T, np.float64)


Metric: TypeAlias = Callable[[Batch, Weights], Floats]
"""From a batch and the counts (B, n) of how often each of B resamples holds each sample, to the
metric's values (B, S); NaN where it is undefined. Counts of all ones give the metric itself."""


def weighted_sums(weights: Weights, values: Floats) -> Floats:
    """Return ``weights @ values``, (B, S), of counts (B, n) and 0-1 values (n, S).

    Sums of integers below 2**53 are exact in float64, so the result does not depend on the order
    in which BLAS adds. The counts are converted in slices to keep memory flat.
    """
    out = np.empty((len(weights), values.shape[1]))
    step = slice_length(weights.shape[1] * 8, len(weights))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        np.matmul(weights[part].astype(np.float64), values, out=out[part])
    return out


def slice_length(bytes_each: int, count: int, budget: int = 8 << 20) -> int:
    """Return how many resamples to take at once so that temporaries stay within `budget` bytes."""
    return max(1, min(count, budget // max(1, bytes_each)))
