"""The aggregates of each system with paired intervals, and notes on what they do not show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stages.evaluate.averages import average_rows
from stages.evaluate.measure_tables import not_comparable
from stages.evaluate.metrics import ACCURACIES, METRICS
from stages.evaluate.notes import Note, constant_notes, multi_label_notes, trend_notes
from stages.evaluate.predictions import Predictions
from stages.evaluate.ratios import FAMILIES, MEDMNIST_C, Baseline, medmnist_c_baseline, ratio_rows
from stages.evaluate.schema import Bootstrap
from stages.evaluate.scoring import Row, SystemScores, score

_BASELINE_METRICS = {name: METRICS[name] for name in ACCURACIES}
"""What of a baseline enters the summary of another encoder."""


def summarise_predictions(
    own: Sequence[Predictions],
    against: Iterable[Predictions],
    baseline: str,
    settings: Bootstrap,
) -> tuple[list[Row], list[Note]]:
    """Return the summary rows of one system from its predictions and the baseline's, and notes.

    `against` is empty where the system is the baseline itself or there is none.

    Raises
    ------
    DataError
        If the two do not hold the same samples.
    """
    system = own[0].system
    other = system._replace(encoder=baseline)
    (scores,) = score(own, settings).values()
    if other == system:
        return summarise_system(scores, scores, baseline)
    # Scored beside a set of the system, so that samples which differ are refused.
    paired = score([own[0], *against], settings, _BASELINE_METRICS)
    return summarise_system(scores, paired.get(other), baseline)


def summarise_system(
    own: SystemScores, against: SystemScores | None, baseline: str
) -> tuple[list[Row], list[Note]]:
    """Return the summary rows of one system against the baseline's scores, and notes."""
    rows = average_rows(own)
    notes = constant_notes(own) + multi_label_notes(own) + trend_notes(own)
    if against is None:
        message = f"no clean error, CE or mCE: baseline {baseline!r} has no scores like these"
        notes.append(Note("no-baseline", own.system, None, message))
    for family in FAMILIES:
        if against is None or not {family.accuracy} <= own.values.keys() & against.values.keys():
            continue
        found, remarks = ratio_rows(own, Baseline.of(against, family.accuracy), family)
        rows += found
        notes += remarks
    rows += _medmnist_c_rows(own, against, notes)
    notes += [
        Note(
            "undefined",
            own.system,
            _corruption_of(row),
            f"{row['metric']}: {row['undefined']}",
            str(row["metric"]),
        )
        for row in rows
        if row["undefined"] is not None
    ]
    return rows, notes


def _medmnist_c_rows(
    own: SystemScores, against: SystemScores | None, notes: list[Note]
) -> list[Row]:
    if "balanced_accuracy" not in own.values:
        return []
    if against is not None and "balanced_accuracy" not in against.values:
        return []
    baseline = medmnist_c_baseline(own, against)
    if baseline is None:
        return []
    rows, _ = ratio_rows(own, baseline, MEDMNIST_C)
    if rows:
        message = not_comparable(baseline.name)
        notes.append(Note("not-comparable", own.system, None, message))
    return rows


def _corruption_of(row: Row) -> str | None:
    _, _, corruption = str(row["metric"]).partition("/")
    return corruption or None
