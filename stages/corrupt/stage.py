"""Renders one set: a clean split under one corruption at one severity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter

if TYPE_CHECKING:
    import pyarrow as pa

    from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest

CORRUPTIONS = "corruptions"
VERSION = 1
SAMPLE_COLUMNS = ["id", "label", "patient_id", "original_filepath"]
"""Columns of the clean split's index that a set repeats."""


class Render:
    """Renders the rows of a unit one by one; each depends on its own identity alone."""

    parallel = True

    def __init__(
        self, suite: SuiteManifest, corruption: CorruptionDeclaration, severity: int
    ) -> None:
        self._suite = suite
        self._corruption = corruption
        self._severity = severity

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Render the unit's images; keep the drawn parameters as columns of the index."""
        from stages.corrupt.rendering import render, sample_stream  # numba

        clean = inputs["images"]
        images = clean.array("images")
        index = clean.index(SAMPLE_COLUMNS).slice(unit.start, unit.stop - unit.start)
        ids = index["id"].to_pylist()
        height, width, channels = images.shape[1:]
        channels = 3 if self._suite.gray == "replicate" else channels
        rendered = writer.array("images", "uint8", (height, width, channels))
        seed, dataset = unit.recipe.parameters["seed"], unit.recipe.parameters["dataset"]
        drawn = []
        for row, (image, sample) in enumerate(
            zip(images.rows(unit.start, unit.stop), ids, strict=True)
        ):
            stream = sample_stream(seed, dataset, sample, self._corruption.name, self._severity)
            rendered[row], parameters = render(
                image, self._corruption, self._severity, self._suite, stream
            )
            drawn.append(parameters)
        writer.table(_with_drawn(index, drawn))


def set_node(
    suite: SuiteManifest,
    corruption: CorruptionDeclaration,
    severity: int,
    images: Node,
    seed: int = 0,
) -> Node:
    """Return one set of a clean split: ``<suite>/<dataset>/<split>/<corruption>/<severity>``."""
    from stages.corrupt.kernels.table import KERNELS

    clean = images.recipe.parameters
    parameters: dict[str, Json] = {
        "suite": suite.id,
        "gray": suite.gray,
        "dataset": clean["dataset"],
        "split": clean["split"],
        "corruption": corruption.name,
        "kernel": corruption.kernel,
        "kernel_version": KERNELS[corruption.kernel].version,
        "severity": severity,
        "values": corruption.severities[severity - 1].model_dump(mode="json"),
        "seed": seed,
    }
    name = f"{suite.id}/{images.recipe.name}/{corruption.name}/{severity}"
    size, channels = clean["size"], clean["channels"]
    row_bytes = size * size * (3 if suite.gray == "replicate" else channels)
    return Node(
        Recipe(CORRUPTIONS, name, VERSION, parameters, {"images": images.recipe}),
        Render(suite, corruption, severity),
        rows=images.rows,
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, images.rows),
        inputs={"images": images},
        attributes=images.attributes,
    )


def _with_drawn(index: pa.Table, drawn: list[dict[str, int | float]]) -> pa.Table:
    """Return `index` with one column per drawn parameter."""
    import pyarrow as pa

    from pipeline.tables import column

    for name, first in drawn[0].items():
        kind = pa.int64() if isinstance(first, int) else pa.float64()
        field = column(f"drawn_{name}", kind, "1", f"the corruption's parameter {name} as drawn")
        index = index.append_column(field, pa.array([row[name] for row in drawn], kind))
    return index
