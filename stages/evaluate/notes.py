"""What the numbers of a system do not say by themselves: flags and trends over severity."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import few
from stages.evaluate.metrics import ACCURACIES
from stages.evaluate.predictions import System
from stages.evaluate.scoring import SystemScores
from stages.vocabulary import CLEAN

_RELATIVE = re.compile(r"(balanced_)?relative_|r?be(/|$)")
"""Ratios of what corruption adds to an error, and those of MedMNIST-C."""


@dataclass(frozen=True)
class Note:
    """Something about a system that its numbers do not say by themselves."""

    kind: Literal[
        "no-baseline",
        "incomplete-baseline",
        "undefined",
        "constant",
        "does-not-fall",
        "multi-label",
        "not-comparable",
    ]
    system: System
    corruption: str | None
    """The corruption it concerns; None for the whole system."""
    message: str
    metric: str | None = None
    """The metric it concerns; None where it is not about one."""


@dataclass(frozen=True)
class Trend:
    """An accuracy at the mildest and the severest severity of one corruption."""

    system: System
    corruption: str
    """The corruption, or `mean` for the mean over all of them."""
    metric: str
    mildest: int
    severest: int
    at_mildest: float
    at_severest: float

    @property
    def falls(self) -> bool:
        """Whether the accuracy is lower at the severest severity."""
        return self.at_severest < self.at_mildest


def trends(own: SystemScores) -> list[Trend]:
    """Return how each accuracy changes from the mildest to the severest severity.

    One per corruption with two severities or more, and one, named `mean`, for the mean over
    those corruptions if they share these two severities.
    """
    found: list[Trend] = []
    columns = {name: cells for name, cells in columns_by_corruption(own).items() if len(cells) > 1}
    for metric in ACCURACIES:
        values = own.values.get(metric)
        if values is None:
            continue
        each = [
            Trend(own.system, name, metric, *ends, *(float(values[cells[end]]) for end in ends))
            for name, cells in columns.items()
            for ends in [(min(cells), max(cells))]
        ]
        found += each
        if len({(trend.mildest, trend.severest) for trend in each}) == 1:
            mild = float(np.mean([trend.at_mildest for trend in each]))
            severe = float(np.mean([trend.at_severest for trend in each]))
            found.append(
                dataclasses.replace(each[0], corruption="mean", at_mildest=mild, at_severest=severe)
            )
    return found


def constant_notes(own: SystemScores) -> list[Note]:
    """Return a note if the system gives a whole set one class, naming the sets."""
    cells = [cell for cell, constant in zip(own.cells, own.constant, strict=True) if constant]
    if not cells:
        return []
    named = few([f"{corruption}/{severity}" for corruption, severity in cells])
    same = "one class only" if own.accuracy_of_none is None else "the same labels for every image"
    message = f"predicts {same} on {len(cells)} of {len(own.cells)} sets: {named}"
    return [Note("constant", own.system, None, message)]


def multi_label_notes(own: SystemScores) -> list[Note]:
    """Return a note that says how the labels of a multi-label task are scored."""
    if own.accuracy_of_none is None:
        return []
    message = (
        "multi-label: accuracies and AUROC are means over labels, each decided at probability 0.5; "
        f"predicting no label for any image has accuracy {own.accuracy_of_none:.4f}, so look at "
        "balanced accuracy and AUROC too; a set whose images all get the same labels is marked as "
        "one class only"
    )
    return [Note("multi-label", own.system, None, message)]


def trend_notes(own: SystemScores) -> list[Note]:
    """Return a note for each accuracy that is not lower at the severest severity."""
    return [
        Note(
            "does-not-fall",
            own.system,
            trend.corruption,
            f"{trend.metric} under {trend.corruption} does not fall from severity "
            f"{trend.mildest} ({trend.at_mildest:.4f}) to {trend.severest} "
            f"({trend.at_severest:.4f})",
            trend.metric,
        )
        for trend in trends(own)
        if not trend.falls
    ]


def condensed(notes: Iterable[tuple[System, Mapping[str, Any]]]) -> list[str]:
    """Return notes as few lines for people: what does not fall, by suite, encoder and protocol.

    Only accuracy is told, and nothing that the tables mark themselves; a note's fields are those
    of `Note` by name.
    """
    places: dict[tuple[str, ...], dict[str, list[str]]] = {}
    lines: list[str] = []
    for system, note in notes:
        if note["kind"] == "does-not-fall" and note["metric"] == "accuracy":
            named = (system.suite, system.encoder, system.protocol, system.template)
            under = places.setdefault(tuple(part for part in named if part), {})
            under.setdefault(note["corruption"], []).append(system.dataset)
        elif note["kind"] == "undefined" and _RELATIVE.match(note["metric"] or ""):
            continue  # often so; the table of these ratios says why
        elif note["kind"] in {"undefined", "incomplete-baseline"}:
            lines.append(f"{system}: {note['message']}")
        elif note["kind"] == "multi-label":
            line = f"{system.dataset}/{system.split}: {note['message']}"
            lines += [line] if line not in lines else []
    for parts, under in sorted(places.items()):
        where = "; ".join(f"{name} ({', '.join(found)})" for name, found in under.items())
        lines.append(f"{', '.join(parts)}: accuracy does not fall with severity under {where}")
    return lines


def columns_by_corruption(own: SystemScores) -> dict[str, dict[int, int]]:
    """Return, for each corruption in order of appearance, the column of each severity."""
    found: dict[str, dict[int, int]] = {}
    for column, (corruption, severity) in enumerate(own.cells):
        if corruption != CLEAN:
            found.setdefault(corruption, {})[severity] = column
    return found
