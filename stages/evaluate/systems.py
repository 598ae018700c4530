"""What systems are made from: sets, splits to learn from, texts, and draws of few samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pipeline.artifact import Artifact
from pipeline.errors import DataError
from pipeline.unit import Node, Unit
from stages.evaluate.prediction_table import labels_of, sample_columns
from stages.evaluate.predictions import System
from stages.evaluate.protocols.contract import ClassTexts, FitInputs, Train
from stages.evaluate.protocols.few_shot import few_shot_rows

if TYPE_CHECKING:
    import pyarrow as pa


class Draw(NamedTuple):
    """How many train samples a classifier sees, and which."""

    k: int | None = None
    """Of each class; None for all, or where `fraction` is given."""
    fraction: float | None = None
    """Share of each class."""
    seed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole train split."""
        return self.k is None and self.fraction is None


WHOLE = (Draw(),)
"""The whole train split, or no train split at all."""


@dataclass(frozen=True)
class EvaluatedSet:
    """Embeddings of one set of a split."""

    corruption: str
    severity: int
    embeddings: Node


@dataclass(frozen=True)
class Labelled:
    """A clean split that a protocol learns from."""

    images: Node
    """Ids and labels."""
    embeddings: Node


@dataclass(frozen=True)
class SystemInputs:
    """Everything that systems which differ in their draw alone are evaluated from.

    What their protocol does not need is None.
    """

    system: System
    """The system of the first draw."""
    images: Node
    """The clean split that is evaluated: ids, labels, patients."""
    sets: tuple[EvaluatedSet, ...]
    """Clean first."""
    train: Labelled | None = None
    validation: Labelled | None = None
    texts: Node | None = None
    draws: tuple[Draw, ...] = WHOLE
    """By amount; as many of each."""

    @property
    def systems(self) -> tuple[System, ...]:
        """One per draw."""
        return tuple(self.system._replace(**draw._asdict()) for draw in self.draws)

    @property
    def draws_per_unit(self) -> int:
        """Draws of one amount, which make a unit of an artifact."""
        return sum(draw[:2] == self.draws[0][:2] for draw in self.draws)

    def of_unit(self, unit: Unit) -> tuple[System, ...]:
        """Return the systems that a unit of an artifact stands for."""
        start = unit.shard * self.draws_per_unit
        return self.systems[start : start + self.draws_per_unit]

    @property
    def is_few_shot(self) -> bool:
        """Whether the systems see a part of the train split only."""
        return not self.draws[0].is_whole

    def fit_sources(self) -> dict[str, Node]:
        """Return what a model is fitted from, by role."""
        sources: dict[str, Node] = {}
        for role, labelled in (("train", self.train), ("validation", self.validation)):
            if labelled is not None:
                sources |= {f"{role}_images": labelled.images, role: labelled.embeddings}
        if self.texts is not None:
            sources["texts"] = self.texts
        return sources


def fit_inputs(
    inputs: Mapping[str, Artifact],
    classes: tuple[str, ...],
    system: System,
    *,
    multi_label: bool,
) -> FitInputs:
    """Return what a system's model is fitted from, out of artifacts by role.

    Raises
    ------
    DataError
        If the rows or classes of an artifact are not those of the dataset, or a class has fewer
        samples than are to be drawn.
    """
    texts = _class_texts(inputs["texts"], classes, system) if "texts" in inputs else None
    train = labelled(inputs, "train", classes, system.dataset)
    if train is not None and not Draw(system.k, system.fraction).is_whole:
        train = _drawn(train, classes, system)
    validation = labelled(inputs, "validation", classes, system.dataset)
    return FitInputs(classes, train, texts, multi_label, validation)


def labelled(
    inputs: Mapping[str, Artifact], role: str, classes: tuple[str, ...], dataset: str
) -> Train | None:
    """Return the embeddings of a split that is learned from, with its labels; None without it.

    Raises
    ------
    DataError
        If its rows or classes are not those of the split.
    """
    if role not in inputs:
        return None
    images = inputs[f"{role}_images"]
    samples = images.index(sample_columns(images))
    require_same_ids(samples, inputs[role])
    if tuple(images.attributes["classes"]) != classes:
        message = f"{images.manifest.label}: its classes are not those of {dataset}"
        raise DataError(message)
    patients = samples["patient_id"].to_pylist()
    groups = tuple(patients) if any(patients) else None
    return Train(inputs[role].array("embeddings")[:], labels_of(samples), groups)


def require_same_ids(samples: pa.Table, embedded: Artifact) -> None:
    """Refuse embeddings whose rows are not the split's samples in index order."""
    if samples["id"].to_pylist() != embedded.index(["id"])["id"].to_pylist():
        message = f"{embedded.manifest.label}: its rows are not the samples of the clean split"
        raise DataError(message)


def _drawn(train: Train, classes: Sequence[str], system: System) -> Train:
    # The draw is the same for every encoder and protocol, so that these compare.
    identity = (system.dataset, "train")
    rows = few_shot_rows(
        train.labels, classes, identity, system.seed, k=system.k, fraction=system.fraction
    )
    groups = train.groups and tuple(train.groups[row] for row in rows.tolist())
    return replace(
        train, embeddings=train.embeddings[rows], labels=train.labels[rows], groups=groups
    )


def _class_texts(artifact: Artifact, classes: tuple[str, ...], system: System) -> ClassTexts:
    index = artifact.index()
    chosen = [
        row for row, name in enumerate(index["template"].to_pylist()) if name == system.template
    ]
    index = index.take(chosen)
    ids = index["class_id"].to_numpy()
    names = index["class_name"].to_pylist()
    pairs = zip(ids.tolist(), names, strict=True)
    if any(not 0 <= i < len(classes) or classes[i] != name for i, name in pairs):
        message = f"{artifact.manifest.label}: its classes are not those of {system.dataset}"
        raise DataError(message)
    absent = index["absent"].to_numpy() if "absent" in index.column_names else None
    scale = artifact.attributes["logit_scale"]
    return ClassTexts(artifact.array("embeddings")[chosen], ids, scale, absent)
