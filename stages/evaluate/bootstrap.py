"""Bootstrap resampling, the same for every set of a dataset split, and percentile intervals."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bootstrap import Units
from pipeline.stream import Stream
from stages.evaluate.schema import Bootstrap


@dataclass(frozen=True, eq=False)
class Resampling:
    """How often each resample holds each sample of one dataset split.

    It depends on the dataset, the split, the sample ids and the seed alone, so the same
    resamples serve every corruption, severity, encoder and protocol: differences and ratios
    between them are intervals of paired values.
    """

    settings: Bootstrap
    counts: NDArray[np.uint16]
    """Shape (1 + B, n): ones, which stand for the samples as they are, then the resamples."""
    unit: str
    """`patient` where patients are resampled, else `image`."""
    units: int
    """Number of patients or images that were drawn from."""
    unit_of_row: NDArray[np.intp]
    """Shape (n,): the unit of each sample, numbered in the order of their names."""

    @property
    def weights(self) -> NDArray[np.uint16]:
        """How often each resample holds each sample, (B, n)."""
        return self.counts[1:]

    @classmethod
    def draw(
        cls,
        dataset: str,
        split: str,
        ids: Sequence[str],
        groups: Sequence[str | None] | None,
        settings: Bootstrap,
    ) -> Resampling:
        """Return the resamples of a dataset split, by patient where known: see `Units`.

        The last ones drawn are remembered, since every encoder and protocol asks for the same.
        """
        return _drawn(
            dataset, split, tuple(ids), None if groups is None else tuple(groups), settings
        )


@functools.lru_cache(maxsize=2)
def _drawn(
    dataset: str,
    split: str,
    ids: tuple[str, ...],
    groups: tuple[str | None, ...] | None,
    settings: Bootstrap,
) -> Resampling:
    units = Units.of(ids, groups)
    stream = Stream.of("bootstrap", settings.seed, dataset, split)
    counts = np.ones((1 + settings.resamples, len(ids)), np.uint16)
    for number in range(settings.resamples):
        counts[1 + number] = units.resampled(stream, number)
    counts.flags.writeable = False
    return Resampling(settings, counts, units.word, units.count, units.of_row)


def interval(
    replicates: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the percentile interval (low, high) of `replicates` (B, ...), each of shape (...).

    Both are NaN where there is no replicate, or where the share of undefined replicates exceeds
    the share cut off at either end: the percentiles could then lie anywhere. A smaller share is
    left out.
    """
    shape = replicates.shape[1:]
    if not len(replicates):
        return np.full(shape, np.nan), np.full(shape, np.nan)
    tail = (1 - confidence) / 2
    flat = replicates.reshape(len(replicates), -1)
    undefined = np.isnan(flat).mean(axis=0)
    bounds = np.full((2, flat.shape[1]), np.nan)
    whole = undefined == 0
    bounds[:, whole] = np.quantile(flat[:, whole], [tail, 1 - tail], axis=0)
    for column in np.flatnonzero((undefined > 0) & (undefined <= tail)):
        bounds[:, column] = np.nanquantile(flat[:, column], [tail, 1 - tail])
    return bounds[0].reshape(shape), bounds[1].reshape(shape)
