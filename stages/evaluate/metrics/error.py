"""Top-1 error, Eq. 6 of the RobustMedCLIP paper; for a multi-label task the mean over labels."""

from __future__ import annotations

from stages.evaluate.metrics import accuracy
from stages.evaluate.metrics.contract import Batch, Floats, Weights


def values(batch: Batch, weights: Weights) -> Floats:
    """Return 1 - accuracy, (B, S) in [0, 1]."""
    return 1.0 - accuracy.values(batch, weights)
