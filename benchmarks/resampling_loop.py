"""Bootstrap intervals as a straightforward script draws them, for `benchmarks.evaluate`.

One resample after the other is put together and given to scikit-learn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

LOOP_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "nll", "brier")

Floats = NDArray[np.float64]


def loop_intervals(
    labels: NDArray[np.int64], scores: Floats, weights: NDArray[np.uint16], confidence: float
) -> dict[str, tuple[Floats, Floats]]:
    """Return the interval (low, high) of each metric, each of shape (S,)."""
    values: dict[str, list[list[float]]] = {name: [] for name in LOOP_METRICS}
    for counts in weights:
        rows = np.repeat(np.arange(len(labels)), counts)
        each = [_values(labels[rows], one[rows]) for one in scores]
        for name in LOOP_METRICS:
            values[name].append([found[name] for found in each])
    tail = (1 - confidence) / 2
    ends = {name: np.quantile(found, [tail, 1 - tail], axis=0) for name, found in values.items()}
    return {name: (low, high) for name, (low, high) in ends.items()}


def _values(labels: NDArray[np.int64], scores: Floats) -> dict[str, float]:
    predicted = scores.argmax(axis=1)
    classes = np.arange(scores.shape[1])
    binary = len(classes) == 2
    ranked = scores[:, 1] if binary else scores
    truth = (labels[:, None] == classes).astype(np.float64)
    return {
        "accuracy": accuracy_score(labels, predicted),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "auroc": roc_auc_score(labels, ranked, multi_class="ovr"),
        "nll": log_loss(labels, scores, labels=classes),
        "brier": float(((scores - truth) ** 2).sum(axis=1).mean()),
    }
