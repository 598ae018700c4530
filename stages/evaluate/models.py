"""Fitted classifiers as artifacts, so that another corruption is scored without a new fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.recipe import Recipe
from pipeline.unit import Node, Unit, UnitWriter
from stages.evaluate.predictions import System
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.protocols.contract import EvaluationProtocol
from stages.evaluate.systems import SystemInputs, fit_inputs

if TYPE_CHECKING:
    import pyarrow as pa

MODELS = "models"
VERSION = 1
_SHAPES = "shapes"


class Fit:
    """Fits a protocol on every draw of a unit."""

    parallel = True

    def __init__(self, of: SystemInputs) -> None:
        self._of = of

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per draw: the draw and the model."""
        systems = self._of.of_unit(unit)
        models = [fitted(self._of, system, inputs) for system in systems]
        writer.table(_table(systems, models))
        writer.attributes[_SHAPES] = {
            name: list(value.shape)
            for name, value in vars(models[0]).items()
            if isinstance(value, np.ndarray)
        }
        if not self._of.is_few_shot:
            writer.attributes.update(choices(models[0]))


def _table(systems: Sequence[System], models: Sequence[Any]) -> pa.Table:
    import pyarrow as pa

    from pipeline.tables import column

    amounts = (
        ("k", pa.int64(), "samples", "train samples per class; null for all"),
        ("fraction", pa.float64(), "1", "share of the train samples; null for all"),
        ("seed", pa.int64(), "1", "seed of the draw"),
    )
    columns = [(column(*told), [getattr(one, told[0]) for one in systems]) for told in amounts]
    for field in fields(models[0]):
        values = [getattr(model, field.name) for model in models]
        kind, unit = pa.float64(), "1"
        if isinstance(values[0], np.ndarray):
            kind, values = pa.list_(kind), [value.reshape(-1) for value in values]
        elif isinstance(values[0], bool):
            kind, unit = pa.bool_(), ""
        columns.append((column(field.name, kind, unit, field.metadata["meaning"]), values))
    schema = pa.schema([described for described, _ in columns])
    arrays = [pa.array(values, described.type) for described, values in columns]
    return pa.table(arrays, schema=schema)


def choices(model: Any) -> dict[str, Json]:  # noqa: ANN401 - any protocol's
    """Return what a fit decided by itself, for the attributes of what it is used in."""
    names = ("inverse_penalty", "converged")
    return {name: getattr(model, name) for name in names if hasattr(model, name)}


def fitted(of: SystemInputs, system: System, inputs: Mapping[str, Artifact]) -> Any:  # noqa: ANN401 - any protocol's
    """Return the model of one of the systems, fitted from artifacts by role.

    Raises
    ------
    DataError
        If what is learned from cannot be used.
    """
    from stages.evaluate.protocols.blas import one_blas_thread  # loads SciPy

    attributes = of.images.attributes
    several = attributes["task"] == "multi-label"
    classes = tuple(attributes["classes"])
    given = fit_inputs(inputs, classes, system, multi_label=several)
    with one_blas_thread():
        return _protocol(of).fit(given)


def model_node(of: SystemInputs) -> Node:
    """Return the models of systems that differ in their draw alone, one row for each.

    They depend neither on the suite nor on the split that is evaluated.
    """
    parameters = fit_parameters(of)
    sources = of.fit_sources()
    system = of.system
    parts = (*kind_of(of), system.encoder, system.dataset)
    recipes = {role: node.recipe for role, node in sources.items()}
    recipe = Recipe(MODELS, "/".join(parts), VERSION, parameters, recipes)
    return Node(
        recipe,
        Fit(of),
        rows=len(of.draws),
        row_bytes=1 << 16,
        slots=of.draws_per_unit,
        inputs=sources,
    )


def fit_parameters(of: SystemInputs) -> dict[str, Json]:
    """Return all that determines a fit beside its inputs."""
    system, attributes = of.system, of.images.attributes
    return {
        "protocol": {"name": system.protocol, **asdict(_protocol(of))},  # type: ignore[call-overload]
        "dataset": system.dataset,
        "classes": list(attributes["classes"]),
        "multi_label": attributes["task"] == "multi-label",
        "template": system.template,
        "draws": [list(draw) for draw in of.draws],
    }


def read_models(artifact: Artifact, of: SystemInputs, unit: Unit) -> list[Any]:
    """Return the models of the draws that a unit stands for, from a sealed artifact."""
    start = unit.shard * of.draws_per_unit
    shapes = artifact.attributes[_SHAPES]
    kind = _protocol(of).model
    names = [field.name for field in fields(kind)]
    rows = artifact.index(names, start, start + of.draws_per_unit).to_pylist()
    return [
        kind(
            **{
                name: np.array(value).reshape(shapes[name]) if name in shapes else value
                for name, value in row.items()
            }
        )
        for row in rows
    ]


def kind_of(of: SystemInputs) -> tuple[str, ...]:
    """Return the first parts of an artifact's name: how embeddings become scores."""
    system = of.system
    parts = (
        "few-shot" if of.is_few_shot else None,
        system.protocol,
        system.template and f"{system.template}-{system.prompts}",
    )
    return tuple(part for part in parts if part)


def _protocol(of: SystemInputs) -> EvaluationProtocol[Any]:
    return PROTOCOLS[of.system.protocol]
