"""Views of a study: the systems that differ only in dataset and encoder, so that they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from stages.evaluate.predictions import VIEW
from stages.evaluate.tables import is_few_shot
from stages.vocabulary import CLEAN

Row: TypeAlias = Mapping[str, Any]
Interval: TypeAlias = tuple[float, float, float]
"""A value and the two ends of its interval; both are the value itself where there is none."""


@dataclass(frozen=True)
class View:
    """All encoders and datasets of one suite, split and way of classifying."""

    suite: str
    split: str
    protocol: str
    template: str | None
    prompts: str | None
    results: tuple[Row, ...]
    summary: tuple[Row, ...]

    @property
    def name(self) -> str:
        """For files and anchors."""
        parts = (self.suite, self.split, self.protocol, self.template, self.prompts)
        return "-".join(part.replace("@", "-") for part in parts if part)

    @property
    def title(self) -> str:
        """For people."""
        text = f"{self.suite}, {self.split}, {self.protocol}"
        text += f", template {self.template}" if self.template else ""
        return text + (f", {self.prompts} prompts" if self.prompts else "")

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(row["dataset"] for row in self.results))

    @cached_property
    def encoders(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(row["encoder"] for row in self.results))

    @cached_property
    def corruptions(self) -> tuple[str, ...]:
        """In order of appearance, without the clean split."""
        names = dict.fromkeys(row["corruption"] for row in self.results)
        return tuple(name for name in names if name != CLEAN)

    @cached_property
    def baseline(self) -> str | None:
        """The encoder whose errors are the denominators, if there is one."""
        found = {row["baseline"] for row in self.summary if row["baseline"]}
        return next(iter(found), None)

    def value(self, dataset: str, encoder: str, metric: str) -> Interval | None:
        """Return an aggregate with its interval; None where it is missing or undefined."""
        row = self._summaries.get((dataset, encoder, metric))
        return None if row is None else with_interval(row)

    def cells(self, dataset: str, encoder: str, metric: str) -> dict[tuple[str, int], float]:
        """Return a metric of each (corruption, severity) that has one."""
        return self._cells.get((dataset, encoder, metric), {})

    @cached_property
    def _summaries(self) -> dict[tuple[str, str, str], Row]:
        return {(row["dataset"], row["encoder"], row["metric"]): row for row in self.summary}

    @cached_property
    def _cells(self) -> dict[tuple[str, str, str], dict[tuple[str, int], float]]:
        found: dict[tuple[str, str, str], dict[tuple[str, int], float]] = {}
        for row in self.results:
            if row["value"] is not None:
                key = (row["dataset"], row["encoder"], row["metric"])
                found.setdefault(key, {})[row["corruption"], row["severity"]] = row["value"]
        return found


def views(results: Iterable[Row], summary: Iterable[Row]) -> list[View]:
    """Return the views of a study, few-shot ones left out, in order of appearance."""
    groups: dict[tuple[Any, ...], tuple[list[Row], list[Row]]] = {}
    for position, rows in enumerate((results, summary)):
        for row in rows:
            if not is_few_shot(row):
                key = tuple(row.get(name) for name in VIEW)
                groups.setdefault(key, ([], []))[position].append(row)
    return [
        View(suite, split, protocol, template, prompts, tuple(found), tuple(aggregates))
        for (suite, split, protocol, template, prompts, *_), (found, aggregates) in groups.items()
        if found
    ]


def with_interval(row: Row) -> Interval | None:
    """Return the value of a row with its interval, None where it is undefined."""
    value = row["value"]
    if value is None:
        return None
    low, high = row.get("ci_low"), row.get("ci_high")
    return (value, value if low is None else low, value if high is None else high)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return sum(values) / len(values) if values else None
