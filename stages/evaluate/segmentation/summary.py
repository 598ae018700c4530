"""Scores of many images as means with bootstrap intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from stages.evaluate.bootstrap import Resampling, interval
from stages.evaluate.segmentation.contract import Floats, Score


@dataclass(frozen=True)
class Summary:
    """One metric over the images of a dataset split."""

    mean: float
    """Plain mean over the images that have a value; NaN where none has."""
    low: float
    """Lower end of the percentile interval; NaN without resamples."""
    high: float
    """Upper end."""
    n: int
    """Number of images that have a value."""
    undefined: Mapping[str, int]
    """Number of images without a value, by reason."""


def summarise(
    images: Sequence[Mapping[str, Score]], resampling: Resampling | None = None
) -> dict[str, Summary]:
    """Return every metric's mean over images.

    Parameters
    ----------
    images
        The scores of each image, all with the same metrics.
    resampling
        Resamples of the same images in the same order, by patient where known. Intervals are of
        the mean over the images that have a value.

    Raises
    ------
    UsageError
        If there is no image, or the resamples are of another number of them.
    """
    if not images:
        raise UsageError("there are no images to summarise")
    if resampling is not None and resampling.weights.shape[1] != len(images):
        raise UsageError(
            f"the resamples are of {resampling.weights.shape[1]} images, the scores of "
            f"{len(images)}"
        )
    return {name: _summary([one[name] for one in images], resampling) for name in images[0]}


def _summary(scores: Sequence[Score], resampling: Resampling | None) -> Summary:
    values = np.array([score.value for score in scores])
    defined = np.array([score.undefined is None for score in scores])
    reasons = Counter(score.undefined for score in scores if score.undefined is not None)
    low = high = math.nan
    if resampling is not None:
        means = _resampled_means(values, defined, resampling.weights)
        ends = interval(means[:, None], resampling.settings.confidence)
        low, high = (float(end[0]) for end in ends)
    n = int(defined.sum())
    mean = float(values[defined].mean()) if n else math.nan
    return Summary(mean, low, high, n, dict(sorted(reasons.items())))


def _resampled_means(
    values: Floats, defined: NDArray[np.bool_], weights: NDArray[np.unsignedinteger]
) -> Floats:
    """Return the mean of each resample over the images that have a value, (B,), NaN without any."""
    held = weights[:, defined].astype(np.float64)
    # Not a matrix product: its sums depend on the BLAS at hand.
    totals = (held * values[defined]).sum(axis=1)
    counts = held.sum(axis=1)
    means: Floats = np.full(len(held), np.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    return means
