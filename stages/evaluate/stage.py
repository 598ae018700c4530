"""From sealed embeddings to predictions, results and summary, each an artifact of its own.

Predictions and results have an artifact per corruption, so that another corruption adds its own
only. Systems that differ in their draw of train samples alone share artifacts, with a unit
for each amount of samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.recipe import Recipe
from pipeline.unit import Node, Stage, Unit, UnitWriter
from stages.evaluate.models import choices, fit_parameters, fitted, kind_of, model_node, read_models
from stages.evaluate.notes import Note
from stages.evaluate.prediction_table import prediction_table, read_predictions, sample_columns
from stages.evaluate.predictions import Predictions, System
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.schema import Bootstrap
from stages.evaluate.systems import EvaluatedSet, SystemInputs, require_same_ids
from stages.vocabulary import CLEAN

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS = "predictions"
RESULTS = "results"
SUMMARY = "summary"
VERSIONS = {PREDICTIONS: 2, RESULTS: 2, SUMMARY: 2}
RESAMPLED_AT_ONCE = 2
"""Units whose resamples are drawn and scored at the same time in one process: four, of many short
calls of numpy, take 1.6 times as long as two, waiting for the interpreter."""
_SCORE_BYTES = 8
_MODEL = "model"

ByCorruption: TypeAlias = Mapping[str, Node]
"""The predictions of systems by corruption, those of the clean split among them."""


class Predict:
    """Scores the sets of one corruption of a split under every draw of a unit."""

    parallel = True

    def __init__(self, of: SystemInputs, sets: Sequence[EvaluatedSet]) -> None:
        self._of = of
        self._sets = sets

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per draw, set and sample."""
        import pyarrow as pa

        from stages.evaluate.protocols.blas import one_blas_thread  # loads SciPy

        with one_blas_thread():
            if _MODEL in inputs:
                models = read_models(inputs[_MODEL], self._of, unit)
            else:
                models = [fitted(self._of, one, inputs) for one in self._of.of_unit(unit)]
            sets = self._embeddings(inputs)
            tables = [table for model in models for table in self._predictions(model, inputs, sets)]
        writer.table(pa.concat_tables(tables))
        writer.attributes["logit_scale"] = models[0].logit_scale
        if not self._of.is_few_shot:
            writer.attributes.update(choices(models[0]))

    def _embeddings(self, inputs: Mapping[str, Artifact]) -> list[NDArray[np.floating[Any]]]:
        samples = inputs["images"].index(["id"])
        for one in self._sets:
            require_same_ids(samples, inputs[_role(one)])
        return [inputs[_role(one)].array("embeddings")[:] for one in self._sets]

    def _predictions(
        self,
        model: Any,  # noqa: ANN401 - any protocol's
        inputs: Mapping[str, Artifact],
        sets: Sequence[NDArray[np.floating[Any]]],
    ) -> Iterator[pa.Table]:
        protocol = PROTOCOLS[self._of.system.protocol]
        images = inputs["images"]
        samples = images.index(sample_columns(images))
        for one, embeddings in zip(self._sets, sets, strict=True):
            scores = protocol.scores(model, embeddings)
            yield prediction_table(samples, one.corruption, one.severity, scores)


class Score:
    """Computes the metrics of the sets of one corruption with bootstrap intervals."""

    parallel = RESAMPLED_AT_ONCE

    def __init__(self, of: SystemInputs, corruption: str, bootstrap: Bootstrap) -> None:
        self._of = of
        self._corruption = corruption
        self._bootstrap = bootstrap

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per draw, set and metric."""
        from stages.evaluate.columns import RESULT_COLUMNS, to_table
        from stages.evaluate.protocols.blas import one_blas_thread
        from stages.evaluate.scoring import result_rows, score

        predictions = _read(inputs.values(), self._of.of_unit(unit), unit)
        with one_blas_thread():
            scores = score(predictions, self._bootstrap, only=self._corruption)
        rows = [row for one in scores.values() for row in result_rows(one)]
        writer.table(to_table(rows, RESULT_COLUMNS))


class Summarise:
    """Computes the aggregates of systems, their errors also relative to a baseline."""

    parallel = RESAMPLED_AT_ONCE

    def __init__(self, of: SystemInputs, baseline: str, bootstrap: Bootstrap) -> None:
        self._of = of
        self._baseline = baseline
        self._bootstrap = bootstrap

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per aggregate, and the notes on what they do not show."""
        from stages.evaluate.columns import SUMMARY_COLUMNS, to_table
        from stages.evaluate.protocols.blas import one_blas_thread
        from stages.evaluate.summary import summarise_predictions

        own = self._of.of_unit(unit)
        against = tuple(system._replace(encoder=self._baseline) for system in own)
        found: dict[System, list[Predictions]] = {}
        for of, systems in (("own/", own), ("baseline/", against)):
            artifacts = [one for role, one in inputs.items() if role.startswith(of)]
            for item in _read(artifacts, systems, unit):
                found.setdefault(item.system, []).append(item)
        rows: list[dict[str, Any]] = []
        notes: list[Note] = []
        with one_blas_thread():
            for system, base in zip(own, against, strict=True):
                more, remarks = summarise_predictions(
                    found[system], found.get(base, ()), self._baseline, self._bootstrap
                )
                rows += more
                notes += remarks
        writer.table(to_table(rows, SUMMARY_COLUMNS))
        writer.attributes["notes"] = [
            {
                "kind": note.kind,
                "corruption": note.corruption,
                "metric": note.metric,
                "message": note.message,
            }
            for note in notes
            if not self._of.is_few_shot  # their rows tell; and each draw would have its own
        ]


def prediction_nodes(of: SystemInputs) -> dict[str, Node]:
    """Return the predictions of systems that differ in their draw alone, by corruption.

    Those of the clean split are the same under every suite.
    """
    protocol = PROTOCOLS[of.system.protocol]
    fit = {_MODEL: model_node(of)} if protocol.is_stored else of.fit_sources()
    groups: dict[str, list[EvaluatedSet]] = {}
    for one in of.sets:
        groups.setdefault(one.corruption, []).append(one)
    return {name: _prediction_node(of, name, sets, fit) for name, sets in groups.items()}


def _prediction_node(
    of: SystemInputs, corruption: str, sets: Sequence[EvaluatedSet], fit: Mapping[str, Node]
) -> Node:
    parameters: dict[str, Json] = {
        **fit_parameters(of),
        "encoder": of.system.encoder,
        "sets": [[one.corruption, one.severity] for one in sets],
    }
    sources = {"images": of.images, **fit, **{_role(one): one.embeddings for one in sets}}
    rows = len(sets) * of.images.rows
    classes = len(of.images.attributes["classes"])
    return Node(
        _recipe(PREDICTIONS, _name_of(of, corruption), parameters, sources),
        Predict(of, sets),
        rows=len(of.draws) * rows,
        row_bytes=_SCORE_BYTES * (classes + 2),
        slots=of.draws_per_unit * rows,
        inputs=sources,
    )


def result_nodes(
    of: SystemInputs, bootstrap: Bootstrap, predictions: ByCorruption
) -> dict[str, Node]:
    """Return the metrics of systems that differ in their draw alone, by corruption."""
    nodes = {}
    for name, node in predictions.items():
        parameters: dict[str, Json] = {
            "bootstrap": bootstrap.model_dump(mode="json"),
            "suite": of.system.suite,
        }
        # Some metrics compare with the clean split.
        sources = {CLEAN: predictions[CLEAN], name: node}
        recipe = _recipe(RESULTS, _name_of(of, name, of.system.suite), parameters, sources)
        stage = Score(of, name, bootstrap)
        nodes[name] = _table_node(of, recipe, stage, sources)
    return nodes


def summary_node(
    of: SystemInputs,
    baseline: str,
    bootstrap: Bootstrap,
    predictions: ByCorruption,
    against: ByCorruption | None,
) -> Node:
    """Return the ratios of systems to the baseline encoder, or their averages alone."""
    parameters: dict[str, Json] = {
        "bootstrap": bootstrap.model_dump(mode="json"),
        "baseline": baseline,
        "suite": of.system.suite,
    }
    sources = {f"own/{name}": node for name, node in predictions.items()}
    if against is not None and of.system.encoder != baseline:
        sources |= {f"baseline/{name}": node for name, node in against.items()}
    recipe = _recipe(SUMMARY, _name_of(of, None, of.system.suite), parameters, sources)
    stage = Summarise(of, baseline, bootstrap)
    return _table_node(of, recipe, stage, sources)


def _table_node(
    of: SystemInputs, recipe: Recipe, stage: Stage, sources: Mapping[str, Node]
) -> Node:
    draws, per_unit = len(of.draws), of.draws_per_unit
    return Node(recipe, stage, rows=draws, row_bytes=1 << 14, slots=per_unit, inputs=sources)


def _read(
    artifacts: Iterable[Artifact], systems: Sequence[System], unit: Unit
) -> list[Predictions]:
    """Return the predictions of systems, which are those of a unit, in several artifacts."""
    return [
        one for artifact in artifacts for one in read_predictions(artifact, systems, unit.shard)
    ]


def _name_of(of: SystemInputs, corruption: str | None, suite: str | None = None) -> str:
    system = of.system
    suite = system.suite if corruption != CLEAN else suite
    parts = (*kind_of(of), system.encoder, suite, system.dataset, system.split, corruption)
    return "/".join(part for part in parts if part)


def _recipe(
    stage: str, name: str, parameters: Mapping[str, Json], inputs: Mapping[str, Node]
) -> Recipe:
    recipes = {role: node.recipe for role, node in inputs.items()}
    return Recipe(stage, name, VERSIONS[stage], parameters, recipes)


def _role(one: EvaluatedSet) -> str:
    return CLEAN if one.severity == 0 else f"{one.corruption}/{one.severity}"
