"""Balanced accuracy: the mean over classes of recall.

For a multi-label task it is the mean over labels of binary balanced accuracy, as in MedMNIST-C (Di
Salvo et al., 2024), at a threshold of 0.5 for every label.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import (
    Batch,
    Floats,
    Weights,
    over_labels,
    weighted_sums,
)


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean recall over the classes that occur, (B, S) in [0, 1].

    A class without a sample (in the labels, or in one resample) has no recall and is left out
    of the mean, as in scikit-learn's `balanced_accuracy_score`.
    """
    total = np.zeros((len(weights), batch.correct.shape[1]))
    present = np.zeros((len(weights), 1))
    for class_id in range(batch.classes):
        members = np.flatnonzero(batch.labels == class_id)
        if not members.size:
            continue
        of_class = weights[:, members]
        size = of_class.sum(axis=1, dtype=np.int64)[:, None]
        # Where a resample holds no member the sum is 0 too, so any positive divisor will do.
        total += weighted_sums(of_class, batch.correct[members]) / np.maximum(size, 1)
        present += size > 0
    return total / present
