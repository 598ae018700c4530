"""Retrieval of one encoder on the sets of one corruption, as an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.errors import DataError
from pipeline.recipe import Recipe
from pipeline.unit import Node, Unit, UnitWriter
from stages.evaluate.bootstrap import Resampling
from stages.evaluate.columns import Column, to_table
from stages.evaluate.retrieval.gallery import galleries, probes
from stages.evaluate.retrieval.measures import Matching
from stages.evaluate.schema import Bootstrap

if TYPE_CHECKING:
    import pyarrow as pa

RETRIEVAL = "retrieval"
VERSION = 1
_ROW_BYTES = 1 << 14

COLUMNS: tuple[Column, ...] = (
    Column("suite", "text", "", "corruption suite; null for the split as it is"),
    Column("dataset", "text", "", "dataset"),
    Column("split", "text", "", "split"),
    Column("corruption", "text", "", "corruption; clean for the split as it is"),
    Column("severity", "integer", "1", "severity from 1 to 5; 0 for the split as it is"),
    Column("encoder", "text", "", "encoder of images and texts"),
    Column("rules", "text", "", "rule set of the prompts"),
    Column("design", "text", "", "design of the prompts, or of the changed ones"),
    Column("attribute", "text", "", "attribute that is compared or was changed; null for all"),
    Column("metric", "text", "", "what was measured"),
    Column("value", "number", "1", "the metric"),
    Column("chance", "number", "1", "what retrieval by chance gives; null where it says nothing"),
    Column("n", "integer", "1", "images (or texts) it is a mean over"),
    Column("gallery", "integer", "1", "texts (or images) to choose from"),
    Column("ci_low", "number", "1", "lower end of the bootstrap interval; null if not drawn"),
    Column("ci_high", "number", "1", "upper end of the bootstrap interval; null if not drawn"),
    Column("confidence", "number", "1", "share of resamples within the interval"),
    Column("resamples", "integer", "resamples", "number of bootstrap resamples"),
    Column("resampled_by", "text", "", "what was resampled: patient or image"),
)


@dataclass(frozen=True)
class MatchedSet:
    """Embeddings of one set."""

    suite: str | None
    corruption: str
    severity: int
    embeddings: Node

    @property
    def role(self) -> str:
        """Name among the inputs."""
        return f"{self.corruption}/{self.severity}"


class Retrieve:
    """Measures every set of one corruption."""

    parallel = True

    def __init__(self, sets: Sequence[MatchedSet], bootstrap: Bootstrap) -> None:
        self._sets = sets
        self._bootstrap = bootstrap

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per set, design and metric."""
        parameters = unit.recipe.parameters
        dataset, split = str(parameters["dataset"]), str(parameters["split"])
        images = inputs["images"].index(["id", "patient_id"])
        samples = images["id"].to_pylist()
        patients = images["patient_id"].to_pylist()
        resampling = Resampling.draw(dataset, split, samples, patients, self._bootstrap)
        prompts = inputs["prompts"].index()
        rows = prompts.to_pylist()
        designs = galleries(rows, samples, _attributes(prompts)), probes(rows, samples)
        texts = _texts(inputs, prompts)
        found = []
        for one in self._sets:
            embedded = inputs[one.role]
            if embedded.index(["id"])["id"].to_pylist() != samples:
                message = f"{embedded.manifest.label}: its rows are not the samples of the split"
                raise DataError(message)
            matching = Matching(embedded.array("embeddings")[:], texts, resampling)
            common = self._common(one, parameters, resampling)
            identity = [str(common["encoder"]), str(common["rules"]), dataset, split, one.role]
            found += [
                common
                | {
                    "design": measure.design,
                    "attribute": measure.attribute,
                    "metric": measure.metric,
                    "value": measure.value,
                    "chance": measure.chance,
                    "n": measure.n,
                    "gallery": measure.gallery,
                    "ci_low": measure.low,
                    "ci_high": measure.high,
                }
                for measure in matching.measures(*designs, identity)
            ]
        writer.table(to_table(found, COLUMNS))

    def _common(
        self, one: MatchedSet, parameters: Mapping[str, Json], resampling: Resampling
    ) -> dict[str, Any]:
        named = {name: parameters[name] for name in ("dataset", "split", "encoder", "rules")}
        return named | {
            "suite": one.suite,
            "corruption": one.corruption,
            "severity": one.severity,
            "confidence": self._bootstrap.confidence,
            "resamples": self._bootstrap.resamples,
            "resampled_by": resampling.unit,
        }


def retrieval_node(
    encoder: str,
    rules: str,
    sources: Mapping[str, Node],
    sets: Sequence[MatchedSet],
    bootstrap: Bootstrap,
) -> Node:
    """Return the retrieval of the sets of one corruption.

    Parameters
    ----------
    encoder, rules : str
        Names of the encoder and of the rule set.
    sources : mapping of str to Node
        `images`: the clean split; `prompts`: its prompts; `texts`: their embeddings.
    sets : sequence of MatchedSet
        Of one corruption, or the clean split alone.
    bootstrap : Bootstrap
    """
    images = sources["images"].recipe
    first = sets[0]
    inputs = {**sources, **{one.role: one.embeddings for one in sets}}
    name = "/".join(
        part for part in (encoder, rules, first.suite, images.name, first.corruption) if part
    )
    parameters: dict[str, Json] = {
        "encoder": encoder,
        "rules": rules,
        "dataset": images.parameters["dataset"],
        "split": images.parameters["split"],
        "suite": first.suite,
        "sets": [one.role for one in sets],
        "bootstrap": bootstrap.model_dump(mode="json"),
    }
    recipes = {role: node.recipe for role, node in inputs.items()}
    recipe = Recipe(RETRIEVAL, name, VERSION, parameters, recipes)
    stage = Retrieve(sets, bootstrap)
    return Node(recipe, stage, rows=1, row_bytes=_ROW_BYTES, slots=1, inputs=inputs)


def _attributes(prompts: pa.Table) -> list[str]:
    """Return the attributes: the columns beside which another says where they come from."""
    names = prompts.column_names
    return [name for name in names if f"{name}_origin" in names]


def _texts(inputs: Mapping[str, Artifact], prompts: pa.Table) -> NDArray[np.floating[Any]]:
    embedded = inputs["texts"]
    if embedded.index(["text"])["text"].to_pylist() != prompts["text"].to_pylist():
        message = f"{embedded.manifest.label}: its rows are not those of the prompts"
        raise DataError(message)
    texts: NDArray[np.floating[Any]] = embedded.array("embeddings")[:]
    return texts
