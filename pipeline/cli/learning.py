"""What protocols learn from: which splits, how many samples of them, and whether they serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.schema import FEW_SHOT, FewShot
from stages.evaluate.systems import Draw

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from stages.evaluate.schema import RunManifest


def fitted_protocol(protocol: str, run: RunManifest) -> str:
    """Return what is fitted under the name of a protocol of a run: few-shot fits another."""
    return declared_few_shot(run).protocol if protocol == FEW_SHOT else protocol


def declared_few_shot(run: RunManifest) -> FewShot:
    """Return what few-shot draws in a run."""
    return run.few_shot or FewShot()


def learning_splits(study: Study, dataset: str, protocol: str) -> list[str]:
    """Return the splits that a protocol learns from and the dataset has: train, then val.

    Few-shot learns from its draws alone: with a whole validation split to choose by it would not be
    few.
    """
    needs = {"train"} if protocol == FEW_SHOT else PROTOCOLS[protocol].needs
    wanted = [split for need, split in (("train", "train"), ("validation", "val")) if need in needs]
    return [split for split in wanted if split in study.splits(dataset)]


def draws_of(run: RunManifest) -> list[Draw]:
    """Return every draw that few-shot of a run makes: by amount, then by seed."""
    few = declared_few_shot(run)
    amounts = [Draw(k=k) for k in few.k] + [Draw(fraction=share) for share in few.fractions]
    return [amount._replace(seed=seed) for amount in amounts for seed in few.seeds]


class Labels:
    """How many samples of each class the sealed splits of a study have."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._counts: dict[tuple[str, str], list[int] | None] = {}

    def counts(self, dataset: str, split: str) -> list[int] | None:
        """Return the samples of each class; None of a multi-label task, or where not sealed."""
        key = (dataset, split)
        if key not in self._counts:
            self._counts[key] = self._read(dataset, split)
        return self._counts[key]

    def _read(self, dataset: str, split: str) -> list[int] | None:
        node = self._study.split(dataset, split)
        if node.attributes["task"] == "multi-label":
            return None
        manifest = self._study.store.sealed(node.recipe)
        if manifest is None:
            return None
        found = self._study.store.artifact(node.recipe).index(["label"])["label"].value_counts()
        counts = [0] * len(node.attributes["classes"])
        for one in found.to_pylist():
            counts[one["values"]] = one["counts"]
        return counts

    def fault_to_learn(self, dataset: str) -> str | None:
        """Return why nothing can be learned from the train split of a dataset, or None."""
        counts = self.counts(dataset, "train")
        if counts is None or all(counts):
            return None
        classes = self._study.split(dataset, "train").attributes["classes"]
        names = [repr(classes[i]) for i, number in enumerate(counts) if not number]
        return f"the train split has no sample of class {', '.join(names)}"

    def fault_to_evaluate(self, dataset: str, split: str) -> str | None:
        """Return why a split cannot be evaluated, or None."""
        counts = self.counts(dataset, split)
        if counts is None or sum(number > 0 for number in counts) != 1:
            return None
        classes = self._study.split(dataset, split).attributes["classes"]
        (only,) = [repr(classes[i]) for i, number in enumerate(counts) if number]
        return f"all samples of the {split} split are of one class, {only}"
