"""Top-1 accuracy; for a multi-label task the mean over labels of binary accuracy.

The latter is the accuracy of MedMNIST (Yang et al., Scientific Data 2023), apart from a probability
of exactly 0.5, which counts as absent here.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, over_labels, weighted_sums
from stages.evaluate.metrics.counting import totals


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the share of right predictions, (B, S) in [0, 1]."""
    return np.asarray(weighted_sums(weights, batch.correct) / totals(weights), np.float64)
