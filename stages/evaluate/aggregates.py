"""Rows of the summary: an aggregate of several sets, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.bootstrap import interval
from stages.evaluate.scoring import Row, SystemScores, number

Floats: TypeAlias = NDArray[np.float64] | np.float64


class Value(NamedTuple):
    """An aggregate."""

    point: Floats
    """Shape ()."""
    resampled: Floats
    """Shape (B,): its value in each resample."""


def value_of(scores: SystemScores, metric: str, column: int) -> Value:
    """Return a metric of one set."""
    return Value(scores.values[metric][column], scores.replicates[metric][:, column])


def aggregate_row(own: SystemScores, metric: str, value: Value, covered: Row) -> Row:
    """Return the columns that every aggregate has."""
    low, high = interval(np.asarray(value.resampled), own.provenance.get("confidence", 0.95))
    point = number(float(value.point))
    # The interval of an undefined value would suggest that there was a value within it.
    return {
        **own.system._asdict(),
        "metric": metric,
        "value": point,
        "n": own.n,
        "ci_low": None if point is None else number(float(low)),
        "ci_high": None if point is None else number(float(high)),
        **covered,
        **own.provenance,
    }


def plain_row(
    own: SystemScores, metric: str, value: Value, covered: Row, undefined: str, constant: bool
) -> Row:
    """Return an aggregate that no baseline takes part in, `undefined` saying why it may be so."""
    row = aggregate_row(own, metric, value, covered)
    return row | {
        "baseline": None,
        "undefined": undefined if row["value"] is None else None,
        "constant_predictor": constant,
        "constant_baseline": False,
    }


def cover(corruptions: Mapping[str, Mapping[int, int]]) -> Row:
    """Return the columns that say what an aggregate covers."""
    severities = sorted({severity for columns in corruptions.values() for severity in columns})
    return {"corruptions": len(corruptions), "severities": severities}
