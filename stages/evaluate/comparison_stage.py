"""The comparison of two encoders as an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.recipe import Recipe
from pipeline.unit import Node, Unit, UnitWriter
from stages.evaluate.prediction_table import labels_of, rows_of_lists, sets_of
from stages.evaluate.predictions import Predictions, System
from stages.evaluate.schema import Bootstrap
from stages.evaluate.significance import FLIPS
from stages.evaluate.stage import RESAMPLED_AT_ONCE

if TYPE_CHECKING:
    import pyarrow as pa

COMPARISONS = "comparisons"
VERSION = 1


class Compare:
    """Computes the paired differences between two systems."""

    parallel = RESAMPLED_AT_ONCE

    def __init__(
        self, pair: tuple[System, System], baseline: str, bootstrap: Bootstrap, label: str
    ) -> None:
        a, b = pair
        self._systems = {"a": a, "b": b, "baseline": a._replace(encoder=baseline)}
        self._bootstrap = bootstrap
        self._label = label

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per set and aggregate; corrections depend on what else is compared."""
        from stages.evaluate.columns import PAIR_COLUMNS, to_table
        from stages.evaluate.comparing import compare
        from stages.evaluate.protocols.blas import one_blas_thread

        del unit
        artifacts: dict[System, list[Artifact]] = {}
        for role, artifact in inputs.items():
            artifacts.setdefault(self._systems[role.partition("/")[0]], []).append(artifact)
        found = answers_of(artifacts, self._label)
        a, b = self._systems["a"], self._systems["b"]
        baseline = found.get(self._systems["baseline"], [])
        with one_blas_thread():
            rows = compare(found[a], found[b], baseline, self._bootstrap)
        writer.table(to_table(rows, PAIR_COLUMNS))


def comparison_node(
    pair: tuple[System, System],
    baseline: str,
    bootstrap: Bootstrap,
    predictions: Mapping[System, Mapping[str, Node]],
    *,
    multi_label: bool,
) -> Node:
    """Return the comparison of a pair of systems that differ in their encoder alone.

    `predictions` are those of each system by corruption.

    It has inputs of its own only, so that another encoder beside them changes nothing of it.
    """
    a, b = pair
    against = a._replace(encoder=baseline)
    roles = {"a": a, "b": b}
    if against not in pair and against in predictions:
        roles["baseline"] = against
    sources = {
        f"{role}/{corruption}": node
        for role, system in roles.items()
        for corruption, node in predictions[system].items()
    }
    parameters: dict[str, Json] = {
        "bootstrap": bootstrap.model_dump(mode="json"),
        "baseline": baseline,
        "flips": FLIPS,
    }
    parts: Sequence[str | None] = (
        a.protocol,
        a.template and f"{a.template}-{a.prompts}",
        f"{a.encoder}-{b.encoder}",
        a.suite,
        a.dataset,
        a.split,
    )
    name = "/".join(part for part in parts if part)
    recipes = {role: node.recipe for role, node in sources.items()}
    recipe = Recipe(COMPARISONS, name, VERSION, parameters, recipes)
    stage = Compare(pair, baseline, bootstrap, "labels" if multi_label else "label")
    return Node(recipe, stage, rows=1, row_bytes=1 << 14, slots=1, inputs=sources)


def answers_of(
    artifacts: Mapping[System, Sequence[Artifact]], label: str
) -> dict[System, list[Predictions]]:
    """Return the predictions of sealed artifacts with certain scores: 1 for what was answered.

    Comparisons need no more than the answers, and those are read much faster than scores. `label`
    names the column of true labels: `labels` of a multi-label task, else `label`.
    """
    columns = ["corruption", "severity", "id", "patient_id", label, "predicted"]
    tables = {system: [one.index(columns) for one in each] for system, each in artifacts.items()}
    classes = max(_classes(table) for each in tables.values() for table in each)
    return {
        system: [found for table in each for found in _sets(table, system, classes)]
        for system, each in tables.items()
    }


def _classes(table: pa.Table) -> int:
    """Return the number of classes that occur or are answered, of one label each."""
    if "labels" in table.column_names:
        return 0
    return 1 + max(int(table[name].to_numpy().max()) for name in ("label", "predicted"))


def _sets(table: pa.Table, system: System, classes: int) -> list[Predictions]:
    found = []
    for identity, part in sets_of(table):
        labels = labels_of(part)
        scores = _certain(part["predicted"], labels, classes)
        found.append(Predictions(**system._asdict(), **identity, labels=labels, scores=scores))
    return found


def _certain(
    predicted: pa.ChunkedArray, labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Return scores that say what was answered."""
    if labels.ndim == 2:
        return rows_of_lists(predicted, len(labels))
    return np.asarray(np.eye(max(2, classes))[predicted.to_numpy()], np.float64)
