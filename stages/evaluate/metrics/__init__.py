"""Metrics: each a file, listed here by name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from stages.evaluate.metrics import (
    accuracy,
    auroc,
    balanced_accuracy,
    brier,
    detection_auroc,
    ece,
    error,
    flip_rate,
    macro_f1,
    mean_average_precision,
    nll,
    recall,
)
from stages.evaluate.metrics.contract import Batch, Metric

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": accuracy.values,
        "balanced_accuracy": balanced_accuracy.values,
        "macro_f1": macro_f1.values,
        "auroc": auroc.values,
        "ece": ece.values,
        "brier": brier.values,
        "nll": nll.values,
        "error": error.values,
        "flip_rate": flip_rate.values,
        "detection_auroc": detection_auroc.values,
    }
)
"""Every metric that all tasks have, by the name it has in result rows."""

ACCURACIES = ("accuracy", "balanced_accuracy")
"""Expected to fall as severity rises; ratios, harmonic means and comparisons are made of them."""

COMPARED_WITH_CLEAN = frozenset({"flip_rate", "detection_auroc"})
"""Metrics of a set that also read the clean set."""

MULTI_LABEL_METRICS: Mapping[str, Metric] = MappingProxyType(
    {"mean_average_precision": mean_average_precision.values}
)
"""The metrics that multi-label tasks have besides."""


def metrics_of(batch: Batch) -> dict[str, Metric]:
    """Return the metrics of a task: the common ones, then `recall/<class id>` of every class."""
    more = MULTI_LABEL_METRICS if batch.multi_label else {}
    recalls: dict[str, Metric] = {
        f"recall/{class_id}": functools.partial(recall.values, class_id=class_id)
        for class_id in range(batch.classes)
    }
    return {**METRICS, **more, **recalls}
