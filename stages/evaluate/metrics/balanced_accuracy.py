"""Balanced accuracy: the mean over classes of recall.

For a multi-label task it is the mean over labels of binary balanced accuracy, as in MedMNIST-C (Di
Salvo et al., 2024), at a threshold of 0.5 for every label.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, over_labels


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean recall over the classes that occur, (B, S) in [0, 1].

    A class without a sample (in the labels, or in one resample) has no recall and is left out
    of the mean, as in scikit-learn's `balanced_accuracy_score`.
    """
    sizes, right = batch.hits(weights)
    # Where a resample holds no member nothing of it is right, so any positive divisor will do.
    recalls = right / np.maximum(sizes, 1)
    total = np.zeros_like(right[0])
    for recall in recalls:
        total += recall
    return np.asarray(total / (sizes > 0).sum(axis=0), np.float64)
