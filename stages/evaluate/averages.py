"""What a system keeps under corruption: means of its metrics, also beside its clean accuracy."""

from __future__ import annotations

from stages.evaluate.aggregates import Value, cover, plain_row, value_of
from stages.evaluate.errors_under_corruption import harmonic_mean
from stages.evaluate.metrics import ACCURACIES
from stages.evaluate.notes import columns_by_corruption
from stages.evaluate.scoring import Row, SystemScores
from stages.vocabulary import CLEAN

NOT_AVERAGED = frozenset({"error"})
"""Metrics whose mean says nothing new; the recall of one class is not averaged either."""


def average_rows(own: SystemScores) -> list[Row]:
    """Return the mean over corruptions of the mean over severities of each metric.

    `average_<metric>`, then `harmonic_<metric>` of the clean value and the average; no row where
    there is no corruption.
    """
    corruptions = columns_by_corruption(own)
    if not corruptions:
        return []
    columns = [list(severities.values()) for severities in corruptions.values()]
    covered = cover(corruptions)
    flagged = bool(own.constant[[name != CLEAN for name, _ in own.cells]].any())
    averages = {
        name: _average(own, name, columns)
        for name in own.values
        if name not in NOT_AVERAGED and "/" not in name
    }
    rows = [
        plain_row(own, f"average_{name}", value, covered, f"a set has no {name}", flagged)
        for name, value in averages.items()
    ]
    if (CLEAN, 0) in own.cells:
        clean = own.cells.index((CLEAN, 0))
        flagged = flagged or bool(own.constant[clean])
        for name in ACCURACIES:
            if name in averages:
                inside = value_of(own, name, clean)
                value = Value(*map(harmonic_mean, inside, averages[name]))
                reason = f"a set has no {name}"
                rows.append(plain_row(own, f"harmonic_{name}", value, covered, reason, flagged))
    return rows


def _average(own: SystemScores, metric: str, columns: list[list[int]]) -> Value:
    # As `average_accuracy` does, but each corruption may have severities of its own.
    means = (
        sum(table[..., each].mean(axis=-1) for each in columns) / len(columns)
        for table in (own.values[metric], own.replicates[metric])
    )
    return Value(*means)
