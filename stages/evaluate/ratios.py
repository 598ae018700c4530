"""Ratios of a system's errors to a baseline's: clean error, CE, mCE, relative CE, BE, rBE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.aggregates import Value, aggregate_row, cover
from stages.evaluate.alexnet import NAME, alexnet_errors
from stages.evaluate.errors_under_corruption import (
    SMALLEST_BASELINE_ERROR,
    SMALLEST_BASELINE_LOSS,
    clean_error,
    corruption_error,
    relative_corruption_error,
)
from stages.evaluate.notes import Note, columns_by_corruption
from stages.evaluate.scoring import Row, SystemScores
from stages.vocabulary import CLEAN, SEVERITIES

TOO_SMALL = f"the baseline's error is below {SMALLEST_BASELINE_ERROR:.1%}"
"""Why a ratio is undefined."""
TOO_LITTLE_LOST = f"corruption adds less than {SMALLEST_BASELINE_LOSS:.0%} to the baseline's error"
"""Why a relative ratio is undefined."""
CONSTANT_BASELINE = "the baseline predicts one class only on the clean split"
"""Why a relative ratio is undefined too: what such a baseline loses is no measure of harm."""


class Family(NamedTuple):
    """The names of the summary metrics that one kind of accuracy gives; None for no such metric."""

    accuracy: str
    clean_error: str | None
    ce: str
    mce: str
    relative_ce: str
    relative_mce: str


FAMILIES = (
    Family("accuracy", "clean_error", "ce", "mce", "relative_ce", "relative_mce"),
    Family(
        "balanced_accuracy",
        "balanced_clean_error",
        "balanced_ce",
        "balanced_mce",
        "balanced_relative_ce",
        "balanced_relative_mce",
    ),
)
"""Eq. 6 to 8 as published, and the same with balanced accuracy in place of accuracy."""
MEDMNIST_C = Family("balanced_accuracy", None, "be", "be", "rbe", "rbe")
"""MedMNIST-C's balanced error and relative balanced error (Di Salvo et al., 2024)."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """The errors that are divided by, as columns (S,) and (B, S) in the order of `cells`."""

    name: str
    cells: tuple[tuple[str, int], ...]
    point: NDArray[np.float64]
    resampled: NDArray[np.float64]
    constant: tuple[bool, ...]

    @classmethod
    def of(cls, scores: SystemScores, accuracy: str) -> Baseline:
        """Return the errors of an encoder."""
        return cls(
            scores.system.encoder,
            scores.cells,
            1.0 - scores.values[accuracy],
            1.0 - scores.replicates[accuracy],
            tuple(scores.constant.tolist()),
        )

    @classmethod
    def published(cls, errors: Mapping[str, float], resamples: int) -> Baseline:
        """Return errors that were published as means over severities, the same in all resamples."""
        cells = [(CLEAN, 0)]
        cells += [(name, s) for name in errors if name != CLEAN for s in SEVERITIES]
        values = np.array([errors[name] for name, _ in cells])
        repeated = np.broadcast_to(values, (resamples, len(cells)))
        return cls(NAME, tuple(cells), values, repeated, (False,) * len(cells))


def ratio_rows(
    own: SystemScores, baseline: Baseline, family: Family
) -> tuple[list[Row], list[Note]]:
    """Return the ratios of one family that can be had, and notes on those that cannot."""
    ratios = _Ratios(own, baseline, family)
    return ratios.rows(), ratios.notes


def medmnist_c_baseline(own: SystemScores, against: SystemScores | None) -> Baseline | None:
    """Return what BE and rBE divide by: the published AlexNet where there is one for these sets.

    Elsewhere it is the run's baseline, None without one.
    """
    system = own.system
    errors = alexnet_errors(system.suite, system.dataset, system.split)
    corruptions = columns_by_corruption(own)
    if errors is not None and all(
        name in errors and tuple(sorted(columns)) == SEVERITIES
        for name, columns in corruptions.items()
    ):
        return Baseline.published(errors, len(own.replicates["balanced_accuracy"]))
    return None if against is None else Baseline.of(against, "balanced_accuracy")


class _Ratios:
    def __init__(self, own: SystemScores, baseline: Baseline, family: Family) -> None:
        self._own = own
        self._baseline = baseline
        self._family = family
        self._errors = 1.0 - own.values[family.accuracy], 1.0 - own.replicates[family.accuracy]
        self._mine = {cell: column for column, cell in enumerate(own.cells)}
        self._theirs = {cell: column for column, cell in enumerate(baseline.cells)}
        self.notes: list[Note] = []

    def rows(self) -> list[Row]:
        """Return the clean error, then the ratios of each corruption and their means."""
        family = self._family
        rows: list[Row] = []
        clean = (CLEAN, 0)
        both_clean = clean in self._mine and clean in self._theirs
        if both_clean and family.clean_error is not None:
            value = Value(*(clean_error(a[..., 0], b[..., 0]) for a, b in self._pairs([clean])))
            covered: Row = {"corruptions": 0, "severities": [0]}
            rows.append(self._row(family.clean_error, value, covered, [clean], TOO_SMALL))
        corruptions = columns_by_corruption(self._own)
        shared = {name: own for name, own in corruptions.items() if self._has(name, own)}
        whole = len(shared) == len(corruptions)
        rows += self._each_and_mean(shared, family.ce, family.mce, whole=whole)
        if both_clean:
            names = family.relative_ce, family.relative_mce
            rows += self._each_and_mean(shared, *names, whole=whole, relative=True)
        return rows

    def _each_and_mean(
        self,
        corruptions: Mapping[str, Mapping[int, int]],
        each: str,
        mean: str,
        *,
        whole: bool,
        relative: bool = False,
    ) -> list[Row]:
        rows, values, every = [], [], []
        reason = self._reason(relative=relative)
        for name, columns in corruptions.items():
            cells = [(name, severity) for severity in columns]
            values.append(self._relative(cells) if relative else self._ratio(cells))
            used = [(CLEAN, 0), *cells] if relative else cells
            rows.append(
                self._row(f"{each}/{name}", values[-1], cover({name: columns}), used, reason)
            )
            every += used
        if values and whole:
            value = Value(*(np.mean(parts, axis=0) for parts in zip(*values, strict=True)))
            rows.append(self._row(mean, value, cover(corruptions), every, reason))
        return rows

    def _reason(self, *, relative: bool) -> str:
        if not relative:
            return TOO_SMALL
        return CONSTANT_BASELINE if self._constant_on_clean() else TOO_LITTLE_LOST

    def _ratio(self, cells: list[tuple[str, int]]) -> Value:
        return Value(*(corruption_error(*pair) for pair in self._pairs(cells)))

    def _relative(self, cells: list[tuple[str, int]]) -> Value:
        found = Value(
            *(
                relative_corruption_error(own[..., 1:], own[..., 0], base[..., 1:], base[..., 0])
                for own, base in self._pairs([(CLEAN, 0), *cells])
            )
        )
        if self._constant_on_clean():
            return Value(np.float64(np.nan), np.full_like(found.resampled, np.nan))
        return found

    def _constant_on_clean(self) -> bool:
        return self._baseline.constant[self._theirs[CLEAN, 0]]

    def _has(self, name: str, columns: Mapping[int, int]) -> bool:
        """Return whether the baseline has these severities; otherwise a note tells."""
        missing = [severity for severity in columns if (name, severity) not in self._theirs]
        if missing:
            message = (
                f"no {self._family.ce}/{name}: baseline {self._baseline.name!r} lacks severities "
                f"{', '.join(map(str, missing))}"
            )
            self.notes.append(Note("incomplete-baseline", self._own.system, name, message))
        return not missing

    def _pairs(
        self, cells: list[tuple[str, int]]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return own and baseline errors of these sets: (S,) each, then (B, S) each."""
        mine = [self._mine[cell] for cell in cells]
        theirs = [self._theirs[cell] for cell in cells]
        baseline = self._baseline.point, self._baseline.resampled
        return [
            (own[..., mine], base[..., theirs])
            for own, base in zip(self._errors, baseline, strict=True)
        ]

    def _row(
        self, metric: str, value: Value, covered: Row, cells: list[tuple[str, int]], reason: str
    ) -> Row:
        row = aggregate_row(self._own, metric, value, covered)
        return row | {
            "baseline": self._baseline.name,
            "undefined": reason if row["value"] is None else None,
            "constant_predictor": any(self._own.constant[self._mine[cell]] for cell in cells),
            "constant_baseline": any(self._baseline.constant[self._theirs[cell]] for cell in cells),
        }
