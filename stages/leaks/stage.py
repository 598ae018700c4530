"""Compares two clean splits, as an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.mixed import MixedArray
from pipeline.recipe import Recipe
from pipeline.shards import ShardedArray
from pipeline.unit import Node, Unit, UnitWriter
from stages.leaks.hashes import CENTRES, WHOLE
from stages.leaks.registration import SAME
from stages.leaks.search import BITS, CHECKED, KEEP, TRIALS, Samples, Shared, chance, shared

if TYPE_CHECKING:
    import pyarrow as pa

LEAKS = "leaks"
VERSION = 1
_ROW_BYTES = 64


class Compare:
    """Finds what two splits share."""

    parallel = False

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per pair of samples; the attributes tell how often hashes mislead."""
        parameters = unit.recipe.parameters
        first, second = (_samples(inputs[role]) for role in ("first", "second"))
        found = shared(first, second, cut=bool(parameters["cut"]), workers=self._workers)
        writer.table(_table(found, first, second))
        for role, samples in (("first", first), ("second", second)):
            by_chance = chance(samples, inputs[role].name, self._workers)
            low, high = by_chance.interval()
            writer.attributes[f"chance_{role}"] = {
                "pairs": by_chance.pairs,
                "alike": by_chance.alike,
                "rate_low": low,
                "rate_high": high,
                "checked": by_chance.checked,
                "same": by_chance.same,
            }


@dataclass(frozen=True)
class _Rows:
    """Chosen rows of an array."""

    array: ShardedArray | MixedArray
    rows: Sequence[int]

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self.array[self.rows[position]]
        return image


def comparison_node(first: Node, second: Node, workers: int) -> Node:
    """Return the comparison of two clean splits, named by both."""
    cut = first.attributes["collection"] != second.attributes["collection"]
    names = [node.recipe.name.replace("/", "-") for node in (first, second)]
    recipe = Recipe(
        LEAKS,
        "/".join(names),
        VERSION,
        {
            "cut": cut,
            "centres": [*(CENTRES if cut else WHOLE)],
            "bits": BITS,
            "keep": KEEP,
            "same": SAME,
            "trials": TRIALS,
            "checked": CHECKED,
        },
        {"first": first.recipe, "second": second.recipe},
    )
    inputs = {"first": first, "second": second}
    return Node(recipe, Compare(workers), rows=1, row_bytes=_ROW_BYTES, slots=1, inputs=inputs)


def _samples(artifact: Artifact) -> Samples:
    mixed = "images" in artifact.manifest.mixed
    images = artifact.mixed("images") if mixed else artifact.array("images")
    status = ["status"] if mixed else []
    index = artifact.index(["id", "images_blake3", "patient_id", "original_filepath", *status])
    rows = list(range(index.num_rows))
    if mixed:
        rows = [row for row, size in enumerate(artifact.mixed("images").shapes) if size.all()]
        index = index.take(rows)
    return Samples(
        ids=index["id"].to_pylist(),
        digests=index["images_blake3"].to_pylist(),
        images=_Rows(images, rows),
        patients=index["patient_id"].to_pylist(),
        names=index["original_filepath"].to_pylist(),
    )


def _table(found: list[Shared], first: Samples, second: Samples) -> pa.Table:
    import pyarrow as pa

    from pipeline.tables import column

    schema = pa.schema(
        [
            column("kind", pa.string(), "", "equal pixels, patient, file-name or alike"),
            column("first", pa.string(), "", "sample of the first split"),
            column("second", pa.string(), "", "sample of the second split"),
            column("bits", pa.int32(), "bit", "bits in which their hashes differ; null if unused"),
            column("correlation", pa.float64(), "1", "after registration; null if unused"),
            column("confirmed", pa.bool_(), "", "whether they are one sample, or one patient's"),
        ]
    )
    rows = [
        {
            "kind": one.kind,
            "first": first.ids[one.first],
            "second": second.ids[one.second],
            "bits": one.bits,
            "correlation": one.correlation,
            "confirmed": one.confirmed,
        }
        for one in found
    ]
    return pa.Table.from_pylist(rows, schema=schema)
