"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, weighted_sums


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN), (B, S) in [0, 1].

    A class that neither occurs nor is predicted (in the set, or in one resample) has no F1 and is
    left out of the mean, as in scikit-learn's `f1_score(average="macro")`. For a multi-label task
    the mean is over labels, of the F1 of the label's presence, as there with
    ``zero_division=nan``; without any F1 the value is NaN.
    """
    if batch.multi_label:
        counted = [_counted(one, weights, [1]) for one in batch.by_label()]
        twice, both = (np.concatenate(parts) for parts in zip(*counted, strict=True))
    else:
        twice, both = _counted(batch, weights, list(range(batch.classes)))
    total = np.zeros(both.shape[1:])
    for hits, samples in zip(twice, both, strict=True):
        total += hits / np.maximum(samples, 1)
    defined = (both > 0).sum(axis=0)
    found: Floats = np.full_like(total, np.nan)
    np.divide(total, defined, out=found, where=defined > 0)
    return found


def _counted(batch: Batch, weights: Weights, classes: list[int]) -> tuple[Floats, Floats]:
    """Return 2 TP, and 2 TP + FP + FN, of each class, (classes, B, S)."""
    sizes, right = batch.hits(weights)
    predicted = (batch.predicted.T[:, None] == np.array(classes)[:, None]).astype(np.float64)
    sums = weighted_sums(weights, predicted.reshape(len(predicted), -1))
    given = sums.reshape(len(weights), len(classes), -1).transpose(1, 0, 2)
    # Samples of a class plus samples it was predicted for.
    return 2 * right[classes], given + sizes[classes]
