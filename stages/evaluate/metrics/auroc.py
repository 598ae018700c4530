"""Area under the ROC curve, one class against the rest, as an exact rank statistic."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, over_labels
from stages.evaluate.metrics.counting import by_sample
from stages.evaluate.metrics.ranks import wins


@over_labels
def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean AUROC over classes, or over labels of a multi-label task, (B, S) in [0, 1].

    The AUROC of a class is the chance that a sample of it scores higher on it than a sample of
    another class does, ties counting half (Hanley and McNeil 1982); samples count as often as
    `weights` says. Two classes have one curve, that of class 1. A class that does not occur, or
    is the only one, has no curve and is left out of the mean; without any curve the value is NaN.

    Scores of three or more classes are compared across samples after the softmax, so the value
    depends on the logit scale they were made with.
    """
    counts = by_sample(weights)
    classes = range(batch.classes) if batch.classes > 2 else range(1, batch.classes)
    total = np.zeros((len(weights), len(batch.scores)))
    curves = np.zeros_like(total)
    for class_id in classes:
        inside = np.flatnonzero(batch.labels == class_id)
        outside = np.flatnonzero(batch.labels != class_id)
        if not (inside.size and outside.size):
            continue
        own, others = counts[inside], counts[outside]
        pairs = own.sum(axis=0, dtype=np.float64) * others.sum(axis=0, dtype=np.float64)
        for index, scores in enumerate(batch.scores[:, :, class_id]):
            won = wins(own, scores[inside], others, scores[outside])
            total[:, index] += won / np.where(pairs > 0, pairs, 1.0)
            curves[:, index] += pairs > 0
    return np.divide(total, curves, out=np.full_like(total, np.nan), where=curves > 0)
