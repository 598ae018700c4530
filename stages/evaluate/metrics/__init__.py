"""Metrics: each a file, listed here by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stages.evaluate.metrics import accuracy, auroc, balanced_accuracy, error
from stages.evaluate.metrics.contract import Metric

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": accuracy.values,
        "balanced_accuracy": balanced_accuracy.values,
        "auroc": auroc.values,
        "error": error.values,
    }
)
"""Every metric by the name it has in result rows."""
