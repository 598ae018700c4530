"""Negative log-likelihood of the true class, in nats."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, weighted_means

SMALLEST = float(np.finfo(np.float64).eps)
"""Probabilities below 2**-52 count as that: one certain mistake costs 36.04 nats, not infinity.

scikit-learn's `log_loss` clips there as well.
"""
_LARGEST = 64.0
"""A power of two above the loss of a certain mistake."""


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean over samples of -log p of the true class, (B, S), at least 0.

    For a multi-label task it is the mean over samples and labels of the binary loss, -log p of
    a label that is present and -log(1 - p) of one that is absent.
    """
    if batch.multi_label:
        given = np.where(batch.labels == 1, batch.scores, 1.0 - batch.scores)
        losses = _losses(given).mean(axis=2)
    else:
        losses = _losses(batch.scores[:, np.arange(len(batch.labels)), batch.labels])
    return weighted_means(weights, losses.T, _LARGEST)


def _losses(probabilities: Floats) -> Floats:
    return np.asarray(-np.log(np.clip(probabilities, SMALLEST, 1.0)), np.float64)
