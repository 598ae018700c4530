"""Flip rate: how often the answer differs from the one given to the uncorrupted image."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, over_labels, weighted_sums
from stages.evaluate.metrics.counting import totals


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the share of samples whose predicted class is not that on the clean set, (B, S).

    Zero for the clean set itself, NaN where it is not among the sets. For a multi-label task it
    is the mean over labels of how often the decision on the label changes.
    """
    if batch.clean is None:
        return np.full((len(weights), len(batch.scores)), np.nan)
    flipped = (batch.predicted != batch.predicted[batch.clean]).T.astype(np.float64)
    return np.asarray(weighted_sums(weights, flipped) / totals(weights), np.float64)
