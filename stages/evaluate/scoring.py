"""Predictions in; result rows, summary rows and notes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.bootstrap import Resampling, interval
from stages.evaluate.metrics import COMPARED_WITH_CLEAN, metrics_of
from stages.evaluate.metrics.contract import Batch, Metric
from stages.evaluate.predictions import Predictions, System, by_split
from stages.evaluate.protocols.contract import predicted_labels
from stages.evaluate.schema import Bootstrap

Row: TypeAlias = dict[str, Any]
"""A row of a table, by column name; the columns are those of `stages.evaluate.columns`."""

Cell: TypeAlias = tuple[str, int]
"""A corruption and a severity."""


@dataclass(frozen=True, eq=False)
class SystemScores:
    """The metrics of one system on each of its S sets, and their values in B resamples."""

    system: System
    cells: tuple[Cell, ...]
    """Corruption and severity of each set."""
    n: int
    """Samples in each set."""
    values: Mapping[str, NDArray[np.float64]]
    """For each metric, shape (S,)."""
    replicates: Mapping[str, NDArray[np.float64]]
    """For each metric, shape (B, S); no rows where nothing was resampled."""
    constant: NDArray[np.bool_]
    """Shape (S,): whether every sample of the set gets the same class, or the same labels."""
    predicted_counts: NDArray[np.int64] | None = None
    """Shape (S, K): how many samples get each class."""
    logit_scale: float | None = None
    accuracy_of_none: float | None = None
    """Accuracy of predicting no label for any sample; None unless the task is multi-label."""
    provenance: Row = field(default_factory=dict)
    """The columns that say how the intervals were drawn."""


def score_system(
    predictions: Sequence[Predictions],
    resampling: Resampling,
    metrics: Mapping[str, Metric] | None = None,
    only: str | None = None,
) -> SystemScores:
    """Return the metrics of the sets of one system.

    Parameters
    ----------
    predictions
        The sets of one system, as `by_split` groups and checks them.
    resampling
        The resamples of the dataset split.
    metrics
        The metrics to compute, by name; None for all of the task.
    only
        The corruption whose sets are scored, the clean set being there to compare with; None for
        all sets.
    """
    first = predictions[0]
    every = batch_of(predictions)
    metrics = metrics_of(every) if metrics is None else metrics
    chosen = [index for index, item in enumerate(predictions) if only in {None, item.corruption}]
    predictions = [predictions[index] for index in chosen]
    batch = batch_of(predictions)
    tables = {
        name: metric(every, resampling.counts)[:, chosen]
        if name in COMPARED_WITH_CLEAN
        else metric(batch, resampling.counts)
        for name, metric in metrics.items()
    }
    counts, constant = _predicted_counts(batch)
    return SystemScores(
        system=first.system,
        cells=tuple((item.corruption, item.severity) for item in predictions),
        n=len(first.ids),
        values={name: table[0] for name, table in tables.items()},
        replicates={name: table[1:] for name, table in tables.items()},
        constant=constant,
        predicted_counts=counts.astype(np.int64),
        logit_scale=first.logit_scale,
        accuracy_of_none=1.0 - float(batch.labels.mean()) if batch.multi_label else None,
        provenance=provenance_of(resampling),
    )


def batch_of(predictions: Sequence[Predictions]) -> Batch:
    """Return the sets of one system as what metrics are given."""
    scores = np.stack([item.scores for item in predictions]).astype(np.float64, copy=False)
    clean = [index for index, item in enumerate(predictions) if item.severity == 0]
    return Batch(predictions[0].labels.astype(np.int64), scores, clean[0] if clean else None)


def _predicted_counts(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return how many samples of each set get each class, (S, K), and which sets are constant."""
    if batch.multi_label:
        labels = predicted_labels(batch.scores)
        return labels.sum(axis=1), (labels == labels[:, :1]).all(axis=(1, 2))
    counts = np.stack([np.bincount(row, minlength=batch.classes) for row in batch.predicted])
    return counts, (counts > 0).sum(axis=1) == 1


def provenance_of(resampling: Resampling) -> Row:
    """Return the columns that say how the intervals were drawn."""
    return {
        "confidence": resampling.settings.confidence,
        "resamples": resampling.settings.resamples,
        "bootstrap_seed": resampling.settings.seed,
        "resampled_by": resampling.unit,
        "units": resampling.units,
    }


def result_rows(scores: SystemScores) -> list[Row]:
    """Return one row per set and metric."""
    confidence = scores.provenance.get("confidence", 0.95)
    bounds = {name: interval(scores.replicates[name], confidence) for name in scores.values}
    rows: list[Row] = []
    for index, (corruption, severity) in enumerate(scores.cells):
        counts = None if scores.predicted_counts is None else scores.predicted_counts[index]
        for name, values in scores.values.items():
            low, high = bounds[name]
            rows.append(
                {
                    **scores.system._asdict(),
                    "corruption": corruption,
                    "severity": severity,
                    "metric": name,
                    "value": number(values[index]),
                    "n": scores.n,
                    "ci_low": number(low[index]),
                    "ci_high": number(high[index]),
                    "constant_predictor": bool(scores.constant[index]),
                    "predicted_counts": None if counts is None else counts.tolist(),
                    "logit_scale": scores.logit_scale,
                    **scores.provenance,
                }
            )
    return rows


def score(
    predictions: Iterable[Predictions],
    settings: Bootstrap,
    metrics: Mapping[str, Metric] | None = None,
    only: str | None = None,
) -> dict[System, SystemScores]:
    """Return the metrics of every system among `predictions`, resampled jointly per split.

    Parameters are those of `score_system`.

    Raises
    ------
    DataError
        If sets of one dataset split do not hold the same samples, or a set is given twice.
    """
    found: dict[System, SystemScores] = {}
    for (dataset, split), systems in by_split(predictions).items():
        first = next(iter(systems.values()))[0]
        resampling = Resampling.draw(dataset, split, first.ids, first.groups, settings)
        for system, sets in systems.items():
            found[system] = score_system(sets, resampling, metrics, only)
    return found


def number(value: float) -> float | None:
    """Return `value` as a plain float, or None where it is undefined."""
    return None if np.isnan(value) else float(value)
