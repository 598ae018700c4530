"""Top-1 accuracy."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, weighted_sums


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the share of right predictions, (B, S) in [0, 1]."""
    totals = weights.sum(axis=1, dtype=np.int64)
    return np.asarray(weighted_sums(weights, batch.correct) / totals[:, None], np.float64)
