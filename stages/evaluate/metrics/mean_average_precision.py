"""Mean average precision of a multi-label task."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, grid_step, over_labels
from stages.evaluate.metrics.counting import by_sample
from stages.evaluate.metrics.ranks import Counts, dot, resample_slices, running_sums


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean over labels of average precision, (B, S) in [0, 1].

    The average precision of a label is the mean, over the images that have it, of the precision
    among all images that score at least as high: the sum of precision times the step in recall,
    without interpolation, as scikit-learn's `average_precision_score`. A label that no image has
    is left out of the mean.
    """
    counts = by_sample(weights)
    positive = batch.labels == 1
    size = counts[positive].sum(axis=0, dtype=np.float64)
    found = np.full((len(weights), len(batch.scores)), np.nan)
    step = grid_step(weights, 1.0)
    for index, scores in enumerate(batch.scores[:, :, 1]):
        if positive.any():
            sums = _precisions(counts, scores, positive, step)
            np.divide(sums, size, out=found[:, index], where=size > 0)
    return found


def _precisions(
    counts: Counts,
    scores: Floats,
    positive: np.ndarray[tuple[int], np.dtype[np.bool_]],
    step: float,
) -> Floats:
    """Return the sum over positives of the precision down to their score, (B,)."""
    order = np.argsort(-scores)
    ranked = -scores[order]
    own = np.flatnonzero(positive)
    reach = np.searchsorted(ranked, -scores[own], side="right")
    own_ranked = np.sort(-scores[own])
    own_order = own[np.argsort(-scores[own])]
    own_reach = np.searchsorted(own_ranked, -scores[own], side="right")
    sums = np.empty(counts.shape[1])
    for part in resample_slices(counts, len(scores)):
        every = running_sums(counts[order, part])[reach]
        hits = running_sums(counts[own_order, part])[own_reach]
        precision = hits / np.maximum(every, 1)
        # On a grid, so that the order of additions does not matter.
        sums[part] = dot(counts[own, part], np.rint(precision / step)) * step
    return sums
