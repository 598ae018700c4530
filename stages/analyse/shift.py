"""How far the embeddings of a corrupted set lie from those of its clean split.

All measures are of embeddings brought to length 1 (their L2 norm), row i of the set against row i
of the clean split. A cosine distance is 1 less the cosine, 0 to 2; computed as half the squared
Euclidean distance of the two unit vectors, it is exactly 0 for equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.analyse.resampling import Resamples, interval

NEIGHBOURS = 10
_TIE = 1e-6
"""Cosines closer than this are equal: what float32 can tell apart."""
_BLOCK = 1 << 22
"""Cosines in memory at once."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Shift:
    """What was measured between a set and its clean split."""

    n: int
    """Pairs with an embedding on both sides."""
    dropped: int
    """Pairs without, on one side or both."""
    width: int
    resampled_by: str
    """"patient" or "image"."""
    cosine: Estimate
    """Mean cosine distance of the pairs."""
    quartiles: tuple[float, float, float]
    """Of these distances: lower, median, upper."""
    frechet: float
    """Fréchet distance of the two sets."""
    frechet_clean: float
    """The same between two random halves of the clean split: what sampling alone makes."""
    neighbours: int
    """k of `kept`."""
    kept: Estimate
    """Mean share of the k nearest other clean images that the corrupted image keeps."""
    kept_by_chance: float
    """What neighbours drawn at random would keep: k / (n - 1)."""
    top1: Estimate
    """Share of corrupted images whose nearest clean image is their own."""
    auroc: Estimate
    """Of telling corrupted from clean images by their distance to the nearest other clean one."""


class Clean:
    """The embeddings of a clean split, and what every comparison with them needs.

    Parameters
    ----------
    embeddings : (n, width), any float type
        Without NaN or zero rows.
    """

    def __init__(self, embeddings: NDArray[np.floating]) -> None:
        self.unit = normalised(embeddings)
        self.near = Neighbours.found(self.unit, self.unit)
        self.moments = Moments.of(self.unit)
        self.halves = _between_halves(self.unit)
        """Fréchet distance between two halves of the split, chosen once at random."""


@dataclass(frozen=True)
class Neighbours:
    """Where query images lie among the other clean images; row i of both is the same image."""

    k: int
    nearest: NDArray[np.int64]
    """The k clean images nearest to each query, its own left out, (n, k), in no order."""
    distance: Matrix
    """Cosine distance to the nearest clean image but its own, (n,)."""
    own: NDArray[np.bool_]
    """Whether no clean image is nearer to the query than its own, (n,)."""

    @classmethod
    def found(cls, queries: Matrix, clean: Matrix, k: int = NEIGHBOURS) -> Neighbours:
        """Search exactly, in blocks of rows; `queries` and `clean` (n, width) have length 1."""
        n = len(clean)
        k = min(k, n - 1)
        nearest = np.empty((n, k), np.int64)
        distance, own = np.empty(n), np.empty(n, np.bool_)
        base, wanted = clean.astype(np.float32).T, queries.astype(np.float32)
        step = max(1, _BLOCK // n)
        for start in range(0, n, step):
            cosines = wanted[start : start + step] @ base
            rows = np.arange(len(cosines))
            of_own = cosines[rows, start + rows]
            cosines[rows, start + rows] = -np.inf
            best = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
            largest = cosines.max(axis=1)
            part = slice(start, start + len(cosines))
            nearest[part], own[part] = best, of_own >= largest - _TIE
            distance[part] = 1 - largest.astype(np.float64)
        return cls(k, nearest, distance, own)

    def kept(self, other: Neighbours) -> Matrix:
        """Return which share of the neighbours of `other` each query has too, (n,)."""
        ours, theirs = np.sort(self.nearest, axis=1), np.sort(other.nearest, axis=1)
        n = len(ours)
        offset = np.arange(n)[:, None] * n
        common = np.isin(ours + offset, theirs + offset, assume_unique=True)
        return np.asarray(common.mean(axis=1))


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of embeddings of length 1."""

    mean: Matrix
    factor: Matrix
    """F, (min(n, width), width), with the unbiased covariance FᵀF: never formed, never rooted."""

    @classmethod
    def of(cls, unit: Matrix) -> Moments:
        """Return those of at least two rows (n, width)."""
        mean = unit.mean(axis=0)
        centred = (unit - mean) / np.sqrt(len(unit) - 1)
        rows, width = centred.shape
        # Of many rows a triangle with the same product is smaller.
        factor = np.asarray(np.linalg.qr(centred, mode="r")) if rows > width else centred
        return cls(mean, factor)

    @property
    def variance(self) -> float:
        """The trace of the covariance."""
        return float(np.square(self.factor).sum())


def normalised(embeddings: NDArray[np.floating]) -> Matrix:
    """Return rows (n, width) brought to length 1, as float64."""
    rows = embeddings.astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def present(embeddings: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which rows (n, width) have an embedding; the others are NaN."""
    return np.asarray(np.isfinite(embeddings).all(axis=1))


def frechet_distance(one: Moments, other: Moments) -> float:
    """Return the Fréchet distance of two normal distributions, 0 for equal ones.

    ``|m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)``, as the FID of Heusel et al. 2017 (Dowson and
    Landau 1982); not its root. With Cᵢ = FᵢᵀFᵢ the eigenvalues of C₁C₂ are the squares of the
    singular values of F₁F₂ᵀ, so the trace of the root is their sum. Unlike a root of C₁C₂ this
    needs no full rank: with fewer images than dimensions it is as exact.
    """
    between = np.linalg.svd(one.factor @ other.factor.T, compute_uv=False).sum()
    apart = np.square(one.mean - other.mean).sum()
    # Rounding may leave the distance of equal distributions just below 0.
    return max(0.0, float(apart + one.variance + other.variance - 2 * between))


def auroc(negative: Matrix, positive: Matrix) -> float:
    """Return the chance that a positive score exceeds a negative one, ties counted half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.sum()) / (2 * len(negative) * len(positive))


def resampled_auroc(negative: Matrix, positive: Matrix, resamples: Resamples) -> Matrix:
    """Return `auroc` in each resample of the images, which are row i of both sides."""
    order = np.argsort(negative, kind="stable")
    ordered = negative[order]
    left = np.searchsorted(ordered, positive, "left")
    right = np.searchsorted(ordered, positive, "right")
    found = np.empty(len(resamples.weights))
    step = max(1, _BLOCK // max(1, len(negative)))
    for start in range(0, len(found), step):
        weights = resamples.weights[start : start + step].astype(np.float64)
        below = np.zeros((len(weights), len(negative) + 1))
        np.cumsum(weights[:, order], axis=1, out=below[:, 1:])
        wins = (weights * (below[:, left] + below[:, right])).sum(axis=1)
        with np.errstate(invalid="ignore"):
            found[start : start + step] = wins / (2 * np.square(weights.sum(axis=1)))
    return found


def measure_shift(
    clean: Clean, corrupted: NDArray[np.floating], resamples: Resamples, dropped: int = 0
) -> Shift:
    """Measure a set against its clean split.

    Parameters
    ----------
    corrupted : (n, width), any float type
        Row i is of the image of the clean split's row i; without NaN or zero rows.
    resamples
        Of these images. The clean images that neighbours are searched among stay as they are.
    dropped
        How many pairs had no embedding on one side or both.
    """
    unit = normalised(corrupted)
    distances = 0.5 * np.square(unit - clean.unit).sum(axis=1)
    near = Neighbours.found(unit, clean.unit)
    kept = near.kept(clean.near)
    means = resamples.means(np.column_stack([distances, kept, near.own]))
    n, width = unit.shape
    told = Estimate(
        auroc(clean.near.distance, near.distance),
        *interval(resampled_auroc(clean.near.distance, near.distance, resamples)),
    )
    # With no more than k other images, all are neighbours and keeping them says nothing.
    some = near.k < n - 1
    lower, median, upper = np.quantile(distances, [0.25, 0.5, 0.75])
    return Shift(
        n=n,
        dropped=dropped,
        width=width,
        resampled_by=resamples.unit,
        cosine=Estimate(float(distances.mean()), *interval(means[:, 0])),
        quartiles=(float(lower), float(median), float(upper)),
        frechet=frechet_distance(clean.moments, Moments.of(unit)),
        frechet_clean=clean.halves,
        neighbours=near.k,
        kept=_estimate(float(kept.mean()), means[:, 1], defined=some),
        kept_by_chance=near.k / (n - 1) if some else float("nan"),
        top1=Estimate(float(near.own.mean()), *interval(means[:, 2])),
        auroc=told,
    )


def _estimate(value: float, replicates: Matrix, *, defined: bool) -> Estimate:
    if not defined:
        return Estimate(*[float("nan")] * 3)
    return Estimate(value, *interval(replicates))


def _between_halves(unit: Matrix) -> float:
    n = len(unit)
    if n < 4:
        return float("nan")
    order = np.argsort(Stream.of("clean halves").words(n), kind="stable")
    first, second = order[: n // 2], order[n // 2 : 2 * (n // 2)]
    return frechet_distance(Moments.of(unit[first]), Moments.of(unit[second]))
