"""Paired differences between two encoders, with intervals and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.evaluate.bootstrap import Resampling, interval
from stages.evaluate.errors_under_corruption import corruption_error
from stages.evaluate.metrics import ACCURACIES, METRICS
from stages.evaluate.notes import columns_by_corruption
from stages.evaluate.predictions import Predictions, by_split
from stages.evaluate.schema import Bootstrap
from stages.evaluate.scoring import Cell, Row, SystemScores, batch_of, number, score_system
from stages.evaluate.significance import Statistics, mcnemar_exact, sign_flip_test, unit_sums
from stages.vocabulary import CLEAN

Floats = NDArray[np.float64]
_METRICS = {name: METRICS[name] for name in ACCURACIES}
_MCE = {"accuracy": "mce", "balanced_accuracy": "balanced_mce"}
RANDOMISATION = "sign flips"
MCNEMAR = "McNemar"


def compare(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    baseline: Sequence[Predictions],
    settings: Bootstrap,
) -> list[Row]:
    """Return the differences between two systems that differ in their encoder alone.

    One row for each set that both have, by accuracy; one for the clean set by balanced accuracy;
    then the averages over corruption and, relative to the baseline, mCE, each by accuracy
    and balanced accuracy. Corrected p-values are for `corrected`.

    Parameters
    ----------
    first, second
        The predictions of the two systems.
    baseline
        Those of the encoder that mCE is relative to; may be one of the two, or empty for no mCE.
    settings
        The resamples are those of every other interval of the dataset split.

    Raises
    ------
    DataError
        If they do not hold the same samples.
    """
    systems = first[0].system, second[0].system
    others = [item for item in baseline if item.system not in systems]
    (found,) = by_split([*first, *second, *others]).values()
    cells = [_cell(item) for item in found[systems[0]]]
    cells = [cell for cell in cells if cell in {_cell(item) for item in found[systems[1]]}]
    if not cells:
        return []
    one = first[0]
    drawn = Resampling.draw(one.dataset, one.split, one.ids, one.groups, settings)
    a, b = (_Side.of(found[system], cells, drawn) for system in systems)
    base = {systems[0]: a, systems[1]: b}.get(baseline[0].system) if baseline else None
    if baseline and base is None:
        sets = found[baseline[0].system]
        if set(cells) <= {_cell(item) for item in sets}:
            base = _Side.of(sets, cells, drawn)
    return _Comparison(a, b, base, drawn).rows()


@dataclass(frozen=True, eq=False)
class _Side:
    """One system on the shared sets."""

    scores: SystemScores
    correct: Floats
    """Shape (n, S): whether the answer is right, of several labels the share that is."""
    terms: Mapping[str, Floats]
    """For each metric what every sample adds to it, (n, S)."""

    @classmethod
    def of(cls, sets: Sequence[Predictions], cells: Sequence[Cell], drawn: Resampling) -> _Side:
        """Return the side of one system."""
        by_cell = {_cell(item): item for item in sets}
        chosen = [by_cell[cell] for cell in cells]
        scores = score_system(chosen, drawn, _METRICS)
        batch = batch_of(chosen)
        labels = list(batch.by_label()) if batch.multi_label else [batch]
        correct = sum(one.correct for one in labels) / len(labels)
        balanced = sum(_shares(one.labels)[:, None] * one.correct for one in labels) / len(labels)
        terms = {
            "accuracy": np.asarray(correct / len(batch.labels), np.float64),
            "balanced_accuracy": np.asarray(balanced, np.float64),
        }
        return cls(scores, np.asarray(correct, np.float64), terms)


class _Comparison:
    def __init__(self, a: _Side, b: _Side, base: _Side | None, drawn: Resampling) -> None:
        self._a = a
        self._b = b
        self._base = base
        self._drawn = drawn
        self._cells = a.scores.cells
        self._corruptions = columns_by_corruption(a.scores)

    def rows(self) -> list[Row]:
        """Return the rows of all sets, then those of the aggregates."""
        p = self._p_of_sets()
        rows = [self._set_row("accuracy", s, *p[s]) for s in range(len(self._cells))]
        for name, found in self._p_of_aggregates().items():
            if name == "balanced_accuracy" and "clean" in found:
                rows.append(self._set_row(name, self._clean, RANDOMISATION, found["clean"]))
            if "average" in found:
                values = [self._average(side.scores, name) for side in (self._a, self._b)]
                rows.append(self._row(f"average_{name}", values, found["average"]))
            if "mce" in found and self._base is not None:
                under = self._base.scores
                values = [self._mce(side.scores, under, name) for side in (self._a, self._b)]
                rows.append(self._row(_MCE[name], values, found["mce"]))
        return rows

    @property
    def _clean(self) -> int:
        """The column of the clean set, -1 without one."""
        return self._cells.index((CLEAN, 0)) if (CLEAN, 0) in self._cells else -1

    def _p_of_sets(self) -> list[tuple[str, float]]:
        """Return the test of each set's accuracy: exact where images are independent answers."""
        a, b = self._a.correct, self._b.correct
        if self._drawn.unit == "image" and np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
            return [(MCNEMAR, float(p)) for p in mcnemar_exact(a == 1, b == 1)]
        found = self._flipped(self._a.terms["accuracy"] - self._b.terms["accuracy"], lambda x: x)
        return [(RANDOMISATION, float(p)) for p in found]

    def _p_of_aggregates(self) -> dict[str, dict[str, float]]:
        """Return p of the clean value, the average and mCE by metric, as far as there are any."""
        parts = {name: self._linear(name) for name in _METRICS}
        width = next(iter(parts.values()))[0].shape[1]
        names = next(iter(parts.values()))[1]

        def statistics(sums: Floats) -> Floats:
            split = np.split(sums, range(width, width * len(parts), width), axis=1)
            return np.hstack(
                [part[2](own) for part, own in zip(parts.values(), split, strict=True)]
            )

        differences = np.hstack([part[0] for part in parts.values()])
        found = iter(self._flipped(differences, statistics).tolist())
        return {name: {what: next(found) for what in names} for name in parts}

    def _linear(self, metric: str) -> tuple[Floats, list[str], Statistics]:
        """Return differences per sample, the names of the statistics, and how they follow.

        The differences are of each corruption's mean over severities, then of the clean set.
        """
        columns = [list(c.values()) for c in self._groups()]
        clean = self._clean
        count = len(columns)

        def grouped(terms: Floats) -> Floats:
            means = [terms[:, each].mean(axis=1) for each in columns]
            return np.stack(means + ([terms[:, clean]] if clean >= 0 else []), axis=1)

        a, b = (grouped(side.terms[metric]) for side in (self._a, self._b))
        both = (a + b).sum(axis=0)[:count]
        base = None if self._base is None else grouped(self._base.terms[metric])
        fixed = None if base is None else 1.0 - base.sum(axis=0)[:count]
        names = ["clean"] * (clean >= 0) + ["average"] * (count > 0)
        names += ["mce"] * (count > 0 and fixed is not None)

        def statistics(sums: Floats) -> Floats:
            found = {"clean": sums[:, -1], "average": sums[:, :count].sum(axis=1) / max(1, count)}
            if count and fixed is not None:
                errors = [1.0 - (both + sign * sums[:, :count]) / 2 for sign in (1, -1)]
                found["mce"] = self._mce_difference(errors, fixed)
            return np.stack([found[name] for name in names], axis=1)

        return a - b, names, statistics

    def _mce_difference(self, errors: list[Floats], fixed: Floats) -> Floats:
        """Return mCE of the first less that of the second, (F,), from their errors (F, C)."""
        # The baseline itself is exchanged too where it is one of the two.
        exchanged = {id(self._a): errors[0], id(self._b): errors[1]}
        under = exchanged.get(id(self._base), np.broadcast_to(fixed, errors[0].shape))
        first, second = (corruption_error(own[..., None], under[..., None]) for own in errors)
        return np.asarray(np.mean(first - second, axis=1), np.float64)

    def _flipped(self, differences: Floats, statistics: Statistics) -> Floats:
        system = self._a.scores.system
        seed = self._drawn.settings.seed
        stream = Stream.of("sign-flips", seed, system.dataset, system.split)
        sums = unit_sums(differences, self._drawn.unit_of_row, self._drawn.units)
        return sign_flip_test(stream, sums, statistics)

    def _average(self, scores: SystemScores, name: str) -> tuple[Floats, Floats]:
        tables = scores.values[name], scores.replicates[name]
        point, resampled = (
            np.mean([t[..., list(c.values())].mean(axis=-1) for c in self._groups()], axis=0)
            for t in tables
        )
        return point, resampled

    def _mce(self, scores: SystemScores, base: SystemScores, name: str) -> tuple[Floats, Floats]:
        pairs = (
            (1.0 - scores.values[name], 1.0 - base.values[name]),
            (1.0 - scores.replicates[name], 1.0 - base.replicates[name]),
        )
        point, resampled = (
            np.mean(
                [
                    corruption_error(own[..., list(c.values())], under[..., list(c.values())])
                    for c in self._groups()
                ],
                axis=0,
            )
            for own, under in pairs
        )
        return point, resampled

    def _groups(self) -> list[dict[int, int]]:
        return list(self._corruptions.values())

    def _set_row(self, name: str, column: int, test: str, p: float) -> Row:
        sides = (self._a.scores, self._b.scores)
        values = [(s.values[name][column], s.replicates[name][:, column]) for s in sides]
        corruption, severity = self._cells[column]
        found = self._row(name, values, p)
        return found | {"corruption": corruption, "severity": severity, "test": test}

    def _row(self, metric: str, values: Sequence[tuple[Floats, Floats]], p: float) -> Row:
        (a, resampled_a), (b, resampled_b) = values
        own = self._a.scores
        low, high = interval(np.asarray(resampled_a - resampled_b), self._confidence)
        difference = number(float(a - b))
        undefined = difference is None
        return {
            **{key: value for key, value in own.system._asdict().items() if key != "encoder"},
            "encoder_a": own.system.encoder,
            "encoder_b": self._b.scores.system.encoder,
            "baseline": self._baseline_of(metric),
            "metric": metric,
            "corruption": None,
            "severity": None,
            "value_a": number(float(a)),
            "value_b": number(float(b)),
            "difference": difference,
            "ci_low": None if undefined else number(float(low)),
            "ci_high": None if undefined else number(float(high)),
            "test": RANDOMISATION,
            "p": None if undefined else number(p),
            "n": own.n,
            **own.provenance,
        }

    def _baseline_of(self, metric: str) -> str | None:
        if metric not in _MCE.values() or self._base is None:
            return None
        return self._base.scores.system.encoder

    @property
    def _confidence(self) -> float:
        return self._drawn.settings.confidence


def _shares(labels: NDArray[np.int64]) -> Floats:
    """Return what each right answer adds to balanced accuracy, (n,)."""
    counts = np.bincount(labels)
    return np.asarray(1.0 / (counts[labels] * (counts > 0).sum()), np.float64)


def _cell(item: Predictions) -> Cell:
    return item.corruption, item.severity
