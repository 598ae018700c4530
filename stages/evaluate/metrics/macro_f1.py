"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, weighted_sums


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN), (B, S) in [0, 1].

    A class that neither occurs nor is predicted (in the set, or in one resample) has no F1 and is
    left out of the mean, as in scikit-learn's `f1_score(average="macro")`. For a multi-label task
    the mean is over labels, of the F1 of the label's presence, as there with
    ``zero_division=nan``; without any F1 the value is NaN.
    """
    total = np.zeros((len(weights), len(batch.scores)))
    defined = np.zeros_like(total)
    for one, class_id in _classes(batch):
        members = np.flatnonzero(one.labels == class_id)
        predicted = (one.predicted == class_id).T.astype(np.float64)
        # Twice TP, FP and FN in all: samples of the class plus samples it was predicted for.
        both = weighted_sums(weights, predicted)
        if members.size:
            both += weights[:, members].sum(axis=1, dtype=np.int64)[:, None]
            twice = 2 * weighted_sums(weights[:, members], predicted[members])
            total += twice / np.maximum(both, 1)
        defined += both > 0
    return np.divide(total, defined, out=np.full_like(total, np.nan), where=defined > 0)


def _classes(batch: Batch) -> Iterable[tuple[Batch, int]]:
    if batch.multi_label:
        return ((one, 1) for one in batch.by_label())
    return ((batch, class_id) for class_id in range(batch.classes))
