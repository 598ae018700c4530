"""The scores of one encoder under one protocol on one set, with what identifies them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.vocabulary import CLEAN

VIEW = ("suite", "split", "protocol", "template", "prompts", "k", "fraction", "seed")
"""What systems share that are shown or compared together: all but dataset and encoder."""


class System(NamedTuple):
    """One classifier on one split: everything that identifies a row save corruption, severity."""

    suite: str
    dataset: str
    split: str
    encoder: str
    protocol: str
    template: str | None
    """Name of the template set; None where no text is used."""
    prompts: str | None
    """Name of the set of class prompts; None where no text is used."""
    k: int | None
    """Train samples per class; None for all."""
    seed: int
    """Seed of whatever the protocol draws."""
    fraction: float | None = None
    """Share of the train samples; None for all, or where `k` is given."""

    def __str__(self) -> str:
        """Return the parts a person needs to tell systems apart."""
        text = f"{self.suite}/{self.dataset}/{self.split}, {self.encoder}, {self.protocol}"
        if self.k is not None:
            text += f", {self.k} per class, seed {self.seed}"
        if self.fraction is not None:
            text += f", {100 * self.fraction:g} %, seed {self.seed}"
        return text if self.template is None else f"{text} ({self.template})"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of one classifier on one set.

    Raises
    ------
    DataError
        If ids, groups, labels and scores do not fit together, ids repeat, a score is not finite,
        or a label is not a class id (of a multi-label task: not 0 or 1).
    """

    suite: str
    dataset: str
    split: str
    corruption: str
    """`clean` for severity 0."""
    severity: int
    """0 for the clean split, else 1 to 5."""
    encoder: str
    protocol: str
    seed: int
    ids: tuple[str, ...]
    """The n sample ids in index order."""
    labels: NDArray[np.int64]
    """Shape (n,): true class ids in [0, K). Of a multi-label task (n, K): 1 per class, or 0."""
    scores: NDArray[np.float64]
    """Shape (n, K): class probabilities."""
    groups: tuple[str | None, ...] | None = None
    """The patient of each sample, None or empty where unknown; None where nothing is known."""
    template: str | None = None
    prompts: str | None = None
    k: int | None = None
    fraction: float | None = None
    logit_scale: float | None = None
    """Factor from cosine to logit that the scores were made with; None where none was used."""

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        if fault := self._fault():
            message = f"{self.system}, {self.corruption}/{self.severity}: {fault}"
            raise DataError(message)

    @property
    def system(self) -> System:
        """The classifier and split these belong to."""
        return System(
            suite=self.suite,
            dataset=self.dataset,
            split=self.split,
            encoder=self.encoder,
            protocol=self.protocol,
            template=self.template,
            prompts=self.prompts,
            k=self.k,
            seed=self.seed,
            fraction=self.fraction,
        )

    def _fault(self) -> str | None:
        n = len(self.ids)
        if (self.severity == 0) != (self.corruption == CLEAN) or self.severity < 0:
            return "severity 0 is the clean split, and only that"
        if n == 0 or len(set(self.ids)) != n:
            return "no sample" if n == 0 else "sample ids repeat"
        if self.groups is not None and len(self.groups) != n:
            return f"{len(self.groups)} patients for {n} samples"
        return self._fault_of_scores(n) or self._fault_of_labels(n)

    def _fault_of_scores(self, n: int) -> str | None:
        if self.scores.ndim != 2 or len(self.scores) != n or self.scores.shape[1] < 2:
            return f"scores of shape {self.scores.shape} for {n} samples"
        return None if np.isfinite(self.scores).all() else "a score is not finite"

    def _fault_of_labels(self, n: int) -> str | None:
        shapes = ((n,), self.scores.shape)
        if self.labels.shape not in shapes or not np.issubdtype(self.labels.dtype, np.integer):
            return f"labels of shape {self.labels.shape} and type {self.labels.dtype}"
        low, high, classes = self.labels.min(), self.labels.max(), self.scores.shape[1]
        if self.labels.ndim == 2 and (low < 0 or high > 1):
            return f"labels from {low} to {high} where each is 0 or 1"
        if low < 0 or high >= classes:
            return f"labels from {low} to {high} where there are {classes} classes"
        return None


def by_split(
    predictions: Iterable[Predictions],
) -> dict[tuple[str, str], dict[System, list[Predictions]]]:
    """Return predictions by (dataset, split), then by system.

    The sets of a system come clean first, then by corruption in order of appearance, then by
    severity.

    Raises
    ------
    DataError
        If two are of the same set, or sets of one dataset split do not hold the same samples
        with the same labels and patients in the same order: they could not be resampled jointly.
    """
    found: dict[tuple[str, str], dict[System, list[Predictions]]] = {}
    for item in predictions:
        systems = found.setdefault((item.dataset, item.split), {})
        if systems:
            _require_same_samples(next(iter(systems.values()))[0], item)
        systems.setdefault(item.system, []).append(item)
    for systems in found.values():
        for system, sets in systems.items():
            _require_distinct(system, sets)
            order = list(dict.fromkeys(item.corruption for item in sets if item.severity))
            sets.sort(key=lambda item: ([CLEAN, *order].index(item.corruption), item.severity))
    return found


def _require_same_samples(first: Predictions, other: Predictions) -> None:
    same = (
        first.ids == other.ids
        and first.groups == other.groups
        and first.scores.shape == other.scores.shape
        and np.array_equal(first.labels, other.labels)
    )
    if not same:
        message = (
            f"{other.system}, {other.corruption}/{other.severity}: not the same samples, labels "
            f"and patients as {first.system}, {first.corruption}/{first.severity}"
        )
        raise DataError(message)


def _require_distinct(system: System, sets: list[Predictions]) -> None:
    cells = [(item.corruption, item.severity) for item in sets]
    if repeated := sorted({cell for cell in cells if cells.count(cell) > 1}):
        corruption, severity = repeated[0]
        message = f"{system}, {corruption}/{severity}: given twice"
        raise DataError(message)
