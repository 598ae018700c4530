"""What is missing: the graph of what should exist, less what the store holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.artifact import Artifact, Manifest
from pipeline.differences import nearest_version, recipe_differences
from pipeline.errors import MissingInputError
from pipeline.recipe import Recipe, SealedRecipe
from pipeline.store import Store
from pipeline.unit import Node, Unit, UnitWriter


@dataclass(frozen=True)
class Step:
    """An artifact to build, and why."""

    node: Node
    reason: str
    units: Sequence[Unit]
    """The units that are not published yet."""

    @property
    def rows(self) -> int:
        """Rows to be made."""
        if len(self.units) == self.node.shards:
            return self.node.rows
        return sum(unit.stop - unit.start for unit in self.units)

    @property
    def nbytes(self) -> int:
        """Bytes to be written, by estimate."""
        return self.rows * self.node.row_bytes


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which every input comes before what needs it."""

    steps: tuple[Step, ...]
    sealed: int
    """How many of the wanted artifacts exist already."""

    @property
    def units(self) -> int:
        """Number of units to run."""
        return sum(len(step.units) for step in self.steps)

    @property
    def nbytes(self) -> int:
        """Bytes to be written, by estimate."""
        return sum(step.nbytes for step in self.steps)


def make_plan(store: Store, targets: Iterable[Node]) -> Plan:
    """Return what must be built so that all `targets` are sealed.

    Inputs are wanted only where something that needs them is missing, so raw data may be
    deleted once everything made from it is sealed.

    Raises
    ------
    VerificationError
        If a wanted artifact is one that the last `verify` found damaged.
    """
    damaged = store.damaged()
    steps: dict[str, Step] = {}
    sealed: set[str] = set()
    for target in targets:
        for node in _unsealed(store, target, sealed, steps, damaged):
            steps[node.recipe.key] = _step(store, node)
    return Plan(tuple(steps.values()), len(sealed))


def explain(store: Store, recipe: Recipe) -> list[str]:
    """Return why a recipe has no sealed artifact: as differences to the nearest one that exists."""
    nearest = nearest_version(store, recipe)
    if nearest is None:
        return ["never built"]
    return [str(one) for one in recipe_differences(nearest, recipe, store)]


def sealed_node(manifest: Manifest) -> Node:
    """Return a sealed artifact as an input of others, whatever it was made from."""
    recipe = SealedRecipe(
        manifest.stage,
        manifest.name,
        int(manifest.document["version"]),
        manifest.parameters,
        sealed_key=manifest.recipe_key,
    )
    row_bytes = -(-manifest.nbytes // max(1, manifest.rows))
    slots = max(1, *manifest.shard_rows)
    return Node(recipe, _Sealed(), manifest.rows, row_bytes, slots)


class _Sealed:
    """The stage of an artifact that is there already."""

    parallel = True

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Refuse to make it again."""
        del inputs, writer
        message = f"{unit.recipe.label} was removed meanwhile: build it again"
        raise MissingInputError(message)


def _unsealed(
    store: Store,
    target: Node,
    sealed: set[str],
    steps: dict[str, Step],
    damaged: dict[str, list[str]],
) -> Iterator[Node]:
    """Yield the unsealed nodes below and including `target`, inputs first."""
    key = target.recipe.key
    if key in sealed or key in steps:
        return
    begun = store.is_begun(target.recipe)
    manifest = store.sealed(target.recipe, keep=False) if begun else None
    if manifest is not None:
        if damaged and manifest.identity in damaged:
            store.require_undamaged(manifest)
        sealed.add(key)
        return
    for source in target.inputs.values():
        for node in _unsealed(store, source, sealed, steps, damaged):
            if node.recipe.key not in steps:
                yield node
    yield target


def _step(store: Store, node: Node) -> Step:
    if not store.has_name(node.recipe):
        return Step(node, "never built", node.units)
    records = store.records(node.recipe)
    units = tuple(unit for unit in node.units if unit.shard not in records)
    if records:
        reason = f"partial: {len(records)} of {node.shards} shards are published"
    else:
        reason = "; ".join(explain(store, node.recipe))
    return Step(node, reason, units)
