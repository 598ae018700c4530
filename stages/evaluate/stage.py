"""From sealed embeddings to predictions, results and summary, each an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.errors import DataError
from pipeline.recipe import Recipe
from pipeline.unit import Node, Unit, UnitWriter
from stages.evaluate.prediction_table import (
    labels_of,
    prediction_table,
    read_predictions,
    sample_columns,
)
from stages.evaluate.predictions import CLEAN, System
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.protocols.contract import ClassTexts, FitInputs, Train
from stages.evaluate.schema import Bootstrap

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS = "predictions"
RESULTS = "results"
SUMMARY = "summary"
VERSIONS = {PREDICTIONS: 1, RESULTS: 2, SUMMARY: 2}
_SCORE_BYTES = 8


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
    """Everything one system is evaluated from; what its protocol does not need is None."""

    system: System
    images: Node
    """The clean split that is evaluated: ids, labels, patients."""
    sets: tuple[EvaluatedSet, ...]
    """Clean first."""
    train: Labelled | None = None
    validation: Labelled | None = None
    texts: Node | None = None


class Predict:
    """Fits a protocol and scores every set of a split."""

    parallel = True

    def __init__(self, inputs: SystemInputs) -> None:
        self._inputs = inputs

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per set and sample."""
        import pyarrow as pa

        from stages.evaluate.protocols.blas import one_blas_thread  # loads SciPy

        del unit
        with one_blas_thread():
            tables, logit_scale = self._predictions(inputs)
        writer.table(pa.concat_tables(tables))
        writer.attributes["logit_scale"] = logit_scale

    def _predictions(self, inputs: Mapping[str, Artifact]) -> tuple[list[pa.Table], float | None]:
        system = self._inputs.system
        protocol = PROTOCOLS[system.protocol]
        images = inputs["images"]
        classes = tuple(images.attributes["classes"])
        model = protocol.fit(_fit_inputs(inputs, classes, system))
        samples = images.index(sample_columns(images))
        tables = []
        for one in self._inputs.sets:
            embedded = inputs[_role(one)]
            require_same_ids(samples, embedded)
            scores = protocol.scores(model, embedded.array("embeddings")[:])
            tables.append(prediction_table(samples, one.corruption, one.severity, scores))
        return tables, model.logit_scale


class Score:
    """Computes the metrics of one system with bootstrap intervals."""

    parallel = True

    def __init__(self, system: System, bootstrap: Bootstrap) -> None:
        self._system = system
        self._bootstrap = bootstrap

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per set and metric."""
        from stages.evaluate.columns import RESULT_COLUMNS, to_table
        from stages.evaluate.protocols.blas import one_blas_thread
        from stages.evaluate.scoring import result_rows, score

        del unit
        predictions = read_predictions(inputs["predictions"], self._system)
        with one_blas_thread():
            scores = score(predictions, self._bootstrap)[self._system]
        writer.table(to_table(result_rows(scores), RESULT_COLUMNS))


class Summarise:
    """Computes the aggregates of one system, its errors also relative to a baseline."""

    parallel = True

    def __init__(self, system: System, baseline: str, bootstrap: Bootstrap) -> None:
        self._system = system
        self._baseline = baseline
        self._bootstrap = bootstrap

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per aggregate, and the notes on what they do not show."""
        from stages.evaluate.columns import SUMMARY_COLUMNS, to_table
        from stages.evaluate.protocols.blas import one_blas_thread
        from stages.evaluate.summary import summarise_predictions

        del unit
        own = read_predictions(inputs["predictions"], self._system)
        against = self._system._replace(encoder=self._baseline)
        baseline = read_predictions(inputs["baseline"], against) if "baseline" in inputs else []
        with one_blas_thread():
            rows, notes = summarise_predictions(own, baseline, self._baseline, self._bootstrap)
        writer.table(to_table(rows, SUMMARY_COLUMNS))
        writer.attributes["notes"] = [
            {
                "kind": note.kind,
                "corruption": note.corruption,
                "metric": note.metric,
                "message": note.message,
            }
            for note in notes
        ]


def prediction_node(inputs: SystemInputs) -> Node:
    """Return the predictions of one system."""
    protocol = PROTOCOLS[inputs.system.protocol]
    parameters: dict[str, Json] = {
        "system": inputs.system._asdict(),
        "protocol": asdict(protocol),  # type: ignore[call-overload]
        "sets": [[one.corruption, one.severity] for one in inputs.sets],
    }
    sources = {"images": inputs.images}
    for role, labelled in (("train", inputs.train), ("validation", inputs.validation)):
        if labelled is not None:
            sources |= {f"{role}_images": labelled.images, role: labelled.embeddings}
    if inputs.texts is not None:
        sources["texts"] = inputs.texts
    sources |= {_role(one): one.embeddings for one in inputs.sets}
    rows = len(inputs.sets) * inputs.images.rows
    classes = len(inputs.images.attributes["classes"])
    return Node(
        _recipe(PREDICTIONS, inputs.system, parameters, sources),
        Predict(inputs),
        rows=rows,
        row_bytes=_SCORE_BYTES * (classes + 2),
        slots=rows,
        inputs=sources,
    )


def result_node(system: System, bootstrap: Bootstrap, predictions: Node) -> Node:
    """Return the metrics of one system."""
    parameters: dict[str, Json] = {"bootstrap": bootstrap.model_dump(mode="json")}
    sources = {"predictions": predictions}
    recipe = _recipe(RESULTS, system, parameters, sources)
    stage = Score(system, bootstrap)
    return Node(recipe, stage, rows=1, row_bytes=1 << 15, slots=1, inputs=sources)


def summary_node(
    system: System, baseline: str, bootstrap: Bootstrap, predictions: Node, against: Node | None
) -> Node:
    """Return the ratios of one system to the baseline encoder, or its averages alone."""
    parameters: dict[str, Json] = {
        "bootstrap": bootstrap.model_dump(mode="json"),
        "baseline": baseline,
    }
    sources = {"predictions": predictions}
    if against is not None and system.encoder != baseline:
        sources["baseline"] = against
    recipe = _recipe(SUMMARY, system, parameters, sources)
    stage = Summarise(system, baseline, bootstrap)
    return Node(recipe, stage, rows=1, row_bytes=1 << 14, slots=1, inputs=sources)


def require_same_ids(samples: pa.Table, embedded: Artifact) -> None:
    """Refuse embeddings whose rows are not the split's samples in index order."""
    if samples["id"].to_pylist() != embedded.index(["id"])["id"].to_pylist():
        message = f"{embedded.manifest.label}: its rows are not the samples of the clean split"
        raise DataError(message)


def _fit_inputs(
    inputs: Mapping[str, Artifact], classes: tuple[str, ...], system: System
) -> FitInputs:
    texts = _class_texts(inputs["texts"], classes, system) if "texts" in inputs else None
    return FitInputs(
        classes,
        labelled(inputs, "train", classes, system.dataset),
        texts,
        inputs["images"].attributes["task"] == "multi-label",
        labelled(inputs, "validation", classes, system.dataset),
    )


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
    require_same_ids(images.index(["id"]), inputs[role])
    if tuple(images.attributes["classes"]) != classes:
        message = f"{images.manifest.label}: its classes are not those of {dataset}"
        raise DataError(message)
    labels = labels_of(images.index(sample_columns(images)))
    return Train(inputs[role].array("embeddings")[:], labels)


def _class_texts(artifact: Artifact, classes: tuple[str, ...], system: System) -> ClassTexts:
    index = artifact.index()
    chosen = [
        row for row, name in enumerate(index["template"].to_pylist()) if name == system.template
    ]
    index = index.take(chosen)
    ids = index["class_id"].to_numpy()
    if any(
        classes[i] != name for i, name in zip(ids, index["class_name"].to_pylist(), strict=True)
    ):
        message = f"{artifact.manifest.label}: its classes are not those of {system.dataset}"
        raise DataError(message)
    absent = index["absent"].to_numpy() if "absent" in index.column_names else None
    scale = artifact.attributes["logit_scale"]
    return ClassTexts(artifact.array("embeddings")[chosen], ids, scale, absent)


def _recipe(
    stage: str, system: System, parameters: Mapping[str, Json], inputs: Mapping[str, Node]
) -> Recipe:
    parts: Sequence[str | None] = (
        system.protocol,
        system.template and f"{system.template}-{system.prompts}",
        system.encoder,
        system.suite,
        system.dataset,
        system.split,
    )
    name = "/".join(part for part in parts if part)
    recipes = {role: node.recipe for role, node in inputs.items()}
    return Recipe(stage, name, VERSIONS[stage], parameters, recipes)


def _role(one: EvaluatedSet) -> str:
    return CLEAN if one.severity == 0 else f"{one.corruption}/{one.severity}"
