"""Summaries of many systems at once, and of the rows that a table of results states."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from stages.evaluate.notes import Note
from stages.evaluate.predictions import Predictions, System
from stages.evaluate.schema import Bootstrap
from stages.evaluate.scoring import Cell, Row, SystemScores, score
from stages.evaluate.summary import summarise_system


def summarise(scores: Mapping[System, SystemScores], baseline: str) -> tuple[list[Row], list[Note]]:
    """Return the summary rows of every system, and notes on what they do not show.

    Each is compared with the `baseline` encoder under the same protocol, template, prompts, k
    and seed on the same dataset split. Without such a baseline a system has no ratios to it, and a
    note says so.
    """
    rows: list[Row] = []
    notes: list[Note] = []
    for system, own in scores.items():
        against = scores.get(system._replace(encoder=baseline))
        found, remarks = summarise_system(own, against, baseline)
        rows += found
        notes += remarks
    return rows, notes


def from_result_rows(rows: Iterable[Row]) -> dict[System, SystemScores]:
    """Return the scores that result rows state, without resamples, by system.

    A metric that some set of a system lacks, or that is undefined there, is NaN there.
    """
    tables: dict[System, dict[Cell, dict[str, Row]]] = {}
    for row in rows:
        named: Row = {name: row.get(name) for name in System._fields}
        system = System(**named)
        cell = (row["corruption"], row["severity"])
        tables.setdefault(system, {}).setdefault(cell, {})[row["metric"]] = row
    return {system: _restored(system, cells) for system, cells in tables.items()}


def _restored(system: System, cells: Mapping[Cell, Mapping[str, Row]]) -> SystemScores:
    names = list(dict.fromkeys(name for metrics in cells.values() for name in metrics))
    firsts = [next(iter(metrics.values())) for metrics in cells.values()]
    values = {
        name: np.array([_value(metrics.get(name)) for metrics in cells.values()]) for name in names
    }
    return SystemScores(
        system=system,
        cells=tuple(cells),
        n=firsts[0]["n"],
        values=values,
        replicates={name: np.empty((0, len(cells))) for name in names},
        constant=np.array([bool(row.get("constant_predictor", False)) for row in firsts]),
        logit_scale=firsts[0].get("logit_scale"),
    )


def _value(row: Row | None) -> float:
    return np.nan if row is None or row["value"] is None else float(row["value"])


SETTINGS = Bootstrap(resamples=200)


def summary_of(*systems: list[Predictions], baseline: str = "pixels") -> dict[tuple[str, str], Row]:
    """Return summary rows by encoder and metric."""
    rows, _ = summarise(score([p for s in systems for p in s], SETTINGS), baseline)
    return {(row["encoder"], row["metric"]): row for row in rows}


def kinds_of(*systems: list[Predictions], baseline: str = "pixels") -> list[tuple[str, str | None]]:
    """Return the kind and corruption of every note."""
    _, notes = summarise(score([p for s in systems for p in s], SETTINGS), baseline)
    return [(note.kind, note.corruption) for note in notes]


def constant(item: Predictions, class_id: int = 0) -> Predictions:
    """Return the predictions of an encoder that always says one class."""
    scores = np.zeros_like(item.scores)
    scores[:, class_id] = 1.0
    return dataclasses.replace(item, scores=scores)


def perfect(item: Predictions) -> Predictions:
    """Return predictions that are always right."""
    return dataclasses.replace(item, scores=np.eye(item.scores.shape[1])[item.labels])
