"""Measures one set in passes of bounded memory."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.shards import ShardedArray
from stages.analyse.densities import level_counts
from stages.analyse.sets import SourceSet
from stages.analyse.spectra import Profile, SpectrumSum, block_side, reduced

SPECTRA = "spectra"
DENSITIES = "densities"
MEASURES = (SPECTRA, DENSITIES)
MAP_SIDE = 256
"""Largest side of the two-dimensional spectra that are kept."""
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class Spectrum:
    """The mean spectrum of a set."""

    profile: Profile
    map: NDArray[np.float64]
    """Mean of log10(1 + |X|) by vertical and horizontal frequency, or over blocks of them."""
    block: int
    """Side of these blocks; 1 where every coefficient is kept."""


@dataclass(frozen=True)
class Measured:
    """What is known of a set's pixels; what was not asked for is None."""

    images: int
    shape: tuple[int, ...]
    """(H, W, C) of each image."""
    spectrum: Spectrum | None
    counts: NDArray[np.int64] | None
    """Pixels per channel and grey level, (C, 256)."""


@dataclass(frozen=True, kw_only=True)
class AnalysedSet(SourceSet):
    """A set and what was measured of its pixels."""

    measured: Measured

    @property
    def spectrum(self) -> Spectrum:
        """The mean spectrum, which must have been asked for."""
        if self.measured.spectrum is None:
            message = f"{self.row}: no spectrum was measured"
            raise ValueError(message)
        return self.measured.spectrum

    @property
    def counts(self) -> NDArray[np.int64]:
        """The pixels per channel and grey level, which must have been asked for."""
        if self.measured.counts is None:
            message = f"{self.row}: no grey levels were counted"
            raise ValueError(message)
        return self.measured.counts


@dataclass(frozen=True)
class Analysed:
    """The sets of one suite and split beside their clean split."""

    clean: AnalysedSet
    sets: tuple[AnalysedSet, ...]

    @property
    def corruptions(self) -> dict[str, list[AnalysedSet]]:
        """Sets by corruption, in order."""
        found: dict[str, list[AnalysedSet]] = {}
        for one in self.sets:
            found.setdefault(one.corruption, []).append(one)
        return found


def measure(
    images: ShardedArray | NDArray[np.uint8],
    measures: Collection[str] = MEASURES,
    chunk: int | None = None,
) -> Measured:
    """Measure the images of a set.

    Parameters
    ----------
    images : (N, H, W, C) uint8
    measures
        Which of `MEASURES`.
    chunk
        Images in memory at once, by default about 8 MiB; changes nothing in the result.
    """
    shape = tuple(images.shape[1:])
    step = chunk or max(1, _CHUNK_BYTES // math.prod(shape))
    sums = SpectrumSum()
    counts = np.zeros((shape[-1], 256), np.int64)
    for start in range(0, len(images), step):
        part = images[start : start + step]
        if SPECTRA in measures:
            sums.add(part)
        if DENSITIES in measures:
            counts += level_counts(part)
    spectrum = None
    if SPECTRA in measures:
        mean = sums.mean
        block = block_side(mean.shape, MAP_SIDE)
        spectrum = Spectrum(sums.profile(), reduced(mean, MAP_SIDE), block)
    return Measured(len(images), shape, spectrum, counts if DENSITIES in measures else None)
