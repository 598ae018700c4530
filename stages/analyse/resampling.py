"""Bootstrap resamples of the images of a split, the same for every set and encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bootstrap import Units
from pipeline.stream import Stream

RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each resample holds each image of a split."""

    weights: NDArray[np.uint16]
    """Counts, (resamples, n)."""
    unit: str
    """"patient" where patients are resampled, else "image"."""

    @classmethod
    def draw(
        cls,
        dataset: str,
        split: str,
        ids: Sequence[str],
        patients: Sequence[str | None] | None,
        count: int = RESAMPLES,
    ) -> Resamples:
        """Return the resamples of a split, by patient where known: see `Units`."""
        units = Units.of(ids, patients)
        stream = Stream.of("shift bootstrap", dataset, split)
        weights = np.empty((count, len(ids)), np.uint16)
        for number in range(count):
            weights[number] = units.resampled(stream, number)
        return cls(weights, units.word)

    def of(self, rows: NDArray[np.int64]) -> Resamples:
        """Return the resamples as far as they are of some rows."""
        return Resamples(self.weights[:, rows], self.unit)

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of `values` (n, m) in each resample, (resamples, m); NaN where empty."""
        weights = self.weights.astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(weights @ values / weights.sum(axis=1, keepdims=True))


def interval(replicates: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of the replicates that are defined; NaN without any."""
    defined = replicates[np.isfinite(replicates)]
    if not defined.size:
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
