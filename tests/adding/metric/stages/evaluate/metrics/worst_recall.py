"""Worst recall: that of the class which is recognised least."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, over_labels


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the lowest recall of the classes that occur, (B, S) in [0, 1]."""
    sizes, right = batch.hits(weights)
    recalls = np.where(sizes > 0, right / np.maximum(sizes, 1), 1.0)
    return np.asarray(recalls.min(axis=0), np.float64)
