"""Bootstrap resamples of the images of a split, the same for every set and encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        """Return resamples that draw as many units as there are, with replacement.

        All images of a patient are one unit; an image whose patient is unknown is one of its own.
        Units are numbered in the order of their names, so the order of the ids changes nothing.
        """
        known = patients is not None and any(patients)
        named = patients if known and patients is not None else [None] * len(ids)
        # The prefixes keep a patient and an image of the same name apart.
        units = [
            f"patient {patient}" if patient else f"image {name}"
            for name, patient in zip(ids, named, strict=True)
        ]
        unique, unit_of = np.unique(np.array(units, np.str_), return_inverse=True)
        stream = Stream.of("shift bootstrap", dataset, split)
        weights = np.empty((count, len(ids)), np.uint16)
        for number in range(count):
            drawn = stream.child(number).below(len(unique), len(unique))
            weights[number] = np.bincount(drawn, minlength=len(unique))[unit_of]
        return cls(weights, "patient" if known else "image")

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
