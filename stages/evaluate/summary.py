"""Clean error, CE, mCE and average accuracy of each system, with paired intervals and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.bootstrap import interval
from stages.evaluate.errors_under_corruption import (
    SMALLEST_BASELINE_ERROR,
    clean_error,
    corruption_error,
)
from stages.evaluate.notes import (
    Note,
    columns_by_corruption,
    constant_notes,
    multi_label_notes,
    trend_notes,
)
from stages.evaluate.predictions import CLEAN, System
from stages.evaluate.scoring import Row, SystemScores, number

Floats: TypeAlias = NDArray[np.float64]


TOO_SMALL = f"the baseline's error is below {SMALLEST_BASELINE_ERROR:.1%}"
"""Why a ratio is undefined."""


class Family(NamedTuple):
    """The names of the summary metrics that one kind of accuracy gives."""

    accuracy: str
    clean_error: str
    ce: str
    mce: str
    average: str


FAMILIES = (
    Family("accuracy", "clean_error", "ce", "mce", "average_accuracy"),
    Family(
        "balanced_accuracy",
        "balanced_clean_error",
        "balanced_ce",
        "balanced_mce",
        "average_balanced_accuracy",
    ),
)
"""Eq. 6 to 8 as published, and the same with balanced accuracy in place of accuracy."""


def summarise(scores: Mapping[System, SystemScores], baseline: str) -> tuple[list[Row], list[Note]]:
    """Return the summary rows of every system, and notes on what they do not show.

    Each is compared with the `baseline` encoder under the same protocol, template, prompts, k
    and seed on the same dataset split. Without such a baseline a system has its average accuracy
    only, and a note says so.
    """
    rows: list[Row] = []
    notes: list[Note] = []
    for system, own in scores.items():
        against = scores.get(system._replace(encoder=baseline))
        found, remarks = summarise_system(own, against, baseline)
        rows += found
        notes += remarks
    return rows, notes


def summarise_system(
    own: SystemScores, against: SystemScores | None, baseline: str
) -> tuple[list[Row], list[Note]]:
    """Return the summary rows of one system against the baseline's scores, and notes."""
    rows: list[Row] = []
    notes = constant_notes(own) + multi_label_notes(own) + trend_notes(own)
    if against is None:
        message = f"no clean error, CE or mCE: baseline {baseline!r} has no scores like these"
        notes.append(Note("no-baseline", own.system, None, message))
    for family in FAMILIES:
        if family.accuracy not in own.values:
            continue
        rows += _average(own, family)
        if against is not None and family.accuracy in against.values:
            rows += _against_baseline(own, against, family, notes)
    notes += [
        Note("undefined", own.system, _corruption_of(row), f"{row['metric']}: {row['undefined']}")
        for row in rows
        if row["undefined"] is not None
    ]
    return rows, notes


def _average(own: SystemScores, family: Family) -> list[Row]:
    corruptions = columns_by_corruption(own)
    if not corruptions:
        return []
    # As `average_accuracy` does, but each corruption may have severities of its own.
    point, resampled = (
        np.mean([table[..., list(c.values())].mean(axis=-1) for c in corruptions.values()], axis=0)
        for table in (own.values[family.accuracy], own.replicates[family.accuracy])
    )
    row = _row(own, family.average, (point, resampled), _cover(corruptions))
    return [
        row
        | {
            "baseline": None,
            "undefined": "a set has no accuracy" if row["value"] is None else None,
            "constant_predictor": bool(own.constant[[c != CLEAN for c, _ in own.cells]].any()),
            "constant_baseline": False,
        }
    ]


def _against_baseline(
    own: SystemScores, against: SystemScores, family: Family, notes: list[Note]
) -> list[Row]:
    """Return the clean error, the CE of each corruption that can be had, and mCE if all can."""
    rows: list[Row] = []
    mine = {cell: column for column, cell in enumerate(own.cells)}
    theirs = {cell: column for column, cell in enumerate(against.cells)}
    if (CLEAN, 0) in mine and (CLEAN, 0) in theirs:
        pair = _Pair(own, against, family, [mine[CLEAN, 0]], [theirs[CLEAN, 0]])
        cover: Row = {"corruptions": 0, "severities": [0]}
        rows.append(pair.row(family.clean_error, pair.clean(), cover))
    ratios: list[_Value] = []
    pairs: list[_Pair] = []
    corruptions = columns_by_corruption(own)
    for name, columns in corruptions.items():
        cells = [(name, severity) for severity in columns]
        if missing := [severity for _, severity in cells if (name, severity) not in theirs]:
            message = (
                f"no {family.ce}/{name}: baseline {against.system.encoder!r} lacks severities "
                f"{', '.join(map(str, missing))}"
            )
            notes.append(Note("incomplete-baseline", own.system, name, message))
            continue
        pair = _Pair(own, against, family, list(columns.values()), [theirs[c] for c in cells])
        pairs.append(pair)
        ratios.append(pair.corruption())
        rows.append(pair.row(f"{family.ce}/{name}", ratios[-1], _cover({name: columns})))
    if ratios and len(ratios) == len(corruptions):
        rows.append(_mean_row(family, pairs, ratios, _cover(corruptions)))
    return rows


_Value: TypeAlias = tuple[Floats, Floats]
"""A value, shape (), and its replicates, shape (B,)."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """Matching sets of a system and its baseline, as columns of their tables."""

    own: SystemScores
    against: SystemScores
    family: Family
    mine: list[int]
    theirs: list[int]

    def clean(self) -> _Value:
        pairs = ((mine[..., 0], theirs[..., 0]) for mine, theirs in self._errors())
        point, resampled = (np.asarray(clean_error(*pair)) for pair in pairs)
        return point, resampled

    def corruption(self) -> _Value:
        point, resampled = (np.asarray(corruption_error(*pair)) for pair in self._errors())
        return point, resampled

    def constant(self) -> tuple[bool, bool]:
        return bool(self.own.constant[self.mine].any()), bool(
            self.against.constant[self.theirs].any()
        )

    def row(self, metric: str, ratio: _Value, cover: Row) -> Row:
        constant, constant_baseline = self.constant()
        row = _row(self.own, metric, ratio, cover)
        return row | {
            "baseline": self.against.system.encoder,
            "undefined": TOO_SMALL if row["value"] is None else None,
            "constant_predictor": constant,
            "constant_baseline": constant_baseline,
        }

    def _errors(self) -> list[tuple[Floats, Floats]]:
        name = self.family.accuracy
        mine, theirs = self.own, self.against
        return [
            (1.0 - mine.values[name][self.mine], 1.0 - theirs.values[name][self.theirs]),
            (
                1.0 - mine.replicates[name][:, self.mine],
                1.0 - theirs.replicates[name][:, self.theirs],
            ),
        ]


def _mean_row(family: Family, pairs: list[_Pair], ratios: list[_Value], cover: Row) -> Row:
    point = np.mean([ratio[0] for ratio in ratios], axis=0)
    resampled = np.mean([ratio[1] for ratio in ratios], axis=0)
    constants = [pair.constant() for pair in pairs]
    row = pairs[0].row(family.mce, (point, resampled), cover)
    return row | {
        "constant_predictor": any(own for own, _ in constants),
        "constant_baseline": any(baseline for _, baseline in constants),
    }


def _row(own: SystemScores, metric: str, value: _Value, cover: Row) -> Row:
    low, high = interval(value[1], own.provenance.get("confidence", 0.95))
    point = number(float(value[0]))
    # The interval of an undefined value would suggest that there was a value within it.
    return {
        **own.system._asdict(),
        "metric": metric,
        "value": point,
        "n": own.n,
        "ci_low": None if point is None else number(float(low)),
        "ci_high": None if point is None else number(float(high)),
        **cover,
        **own.provenance,
    }


def _cover(corruptions: Mapping[str, Mapping[int, int]]) -> Row:
    severities = sorted({severity for columns in corruptions.values() for severity in columns})
    return {"corruptions": len(corruptions), "severities": severities}


def _corruption_of(row: Row) -> str | None:
    _, _, corruption = str(row["metric"]).partition("/")
    return corruption or None
