"""Brier score, summed over classes."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, weighted_means


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean over samples of the sum over classes of (p - y)^2, (B, S) in [0, 2].

    This is Brier's own definition (1950), which for two classes is twice the one of binary
    forecasts; scikit-learn calls it ``scale_by_half=False``. For a multi-label task it is the
    mean over labels of (p - y)^2, in [0, 1].
    """
    if batch.multi_label:
        squares = ((batch.scores - batch.labels) ** 2).mean(axis=2)
        return weighted_means(weights, squares.T, 1.0)
    truth = np.eye(batch.classes)[batch.labels]
    return weighted_means(weights, ((batch.scores - truth) ** 2).sum(axis=2).T, 2.0)
