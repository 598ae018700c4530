"""A tiny graph whose content is numbers, to build in a store without any image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.artifact import INDEX, Artifact
from pipeline.digest import digest_file
from pipeline.disk import Disk
from pipeline.events import Listener
from pipeline.plan import make_plan
from pipeline.recipe import Recipe
from pipeline.runner import Manner, Outcome, run
from pipeline.store import Store
from pipeline.stream import Stream
from pipeline.tables import column
from pipeline.unit import Node, Stage, Unit, UnitWriter

ROWS = 7
NUMBERS_SLOTS = 3
SUMS_SLOTS = 4
SUMS = ("odd", "even")

Digests: TypeAlias = dict[str, tuple[str, dict[str, str]]]
"""By label: the content digest, and the blake3 of every shard and index file by its path."""


def nothing(unit: Unit) -> None:
    """Do nothing before a unit."""


@dataclass
class Files:
    """Writes two plain files, each in a folder of its own: what a source is."""

    parallel: bool = True
    before: Callable[[Unit], None] = nothing

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the files and a table of them."""
        self.before(unit)
        contents = {"given/offset.txt": b"5", "below/note.txt": b"twelve bytes"}
        for name, content in contents.items():
            path = writer.file_folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        schema = pa.schema([column("path", pa.string(), "", "path of the file")])
        writer.table(pa.table([list(contents)], schema=schema))


@dataclass
class Numbers:
    """Draws the numbers of each row from a stream of the parameters and the row."""

    parallel: bool = True
    before: Callable[[Unit], None] = nothing
    noise: float = 0.0
    """Added to the floats, as another machine's rounding would be."""
    pieces: bool = True
    """Whether to write items of mixed size, too."""

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write arrays, the fourth item black, and a table with missing values.

        Of the items of mixed size every third is empty: the last shard has no element.
        """
        self.before(unit)
        offset = 0
        if "files" in inputs:
            offset = int((inputs["files"].file_folder / "given" / "offset.txt").read_text())
        pixels = writer.array("pixels", "uint8", (2, 3, 1))
        floats = writer.array("floats", "float32", (4,))
        pieces = writer.mixed("pieces", "uint16") if self.pieces else None
        rows = range(unit.start, unit.stop)
        for position, row in enumerate(rows):
            stream = Stream.of("toy", dict(unit.recipe.parameters), row)
            drawn = (stream.below(200, 6).astype(np.uint8) + np.uint8(offset)).reshape(2, 3, 1)
            pixels[position] = 0 if row == 3 else drawn
            floats[position] = stream.child("floats").uniform(4) + self.noise
            if pieces is not None:
                pieces.append(piece_of(stream, row))
        writer.table(_samples(rows))
        writer.attributes["unit"] = "none"


def piece_of(stream: Stream, row: int) -> NDArray[np.uint16]:
    """Return the item of mixed size of a row."""
    shape = (row, 2, 1 + row % 2) if row % 3 else (0, 0, 0)
    words = stream.child("pieces").below(60000, int(np.prod(shape)))
    return words.astype(np.uint16).reshape(shape)


@dataclass
class Sums:
    """Adds a number to the pixels of another artifact and sums them up per row."""

    parallel: bool = True
    before: Callable[[Unit], None] = nothing

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one array and the ids of the input's index."""
        self.before(unit)
        pixels = inputs["numbers"].array("pixels").rows(unit.start, unit.stop)
        sums = writer.array("sums", "int64", ())
        for position, item in enumerate(pixels):
            sums[position] = int(item.sum()) + int(str(unit.recipe.parameters["addend"]))
        ids = inputs["numbers"].index(["id"]).slice(unit.start, unit.stop - unit.start)
        writer.table(ids)


def _samples(rows: Sequence[int]) -> pa.Table:
    columns = {
        column("id", pa.string(), "", "id of the row"): [f"row-{row}" for row in rows],
        column("label", pa.int32(), "1", "class"): [row % 3 for row in rows],
        column("group", pa.string(), "", "group, where known"): [
            None if row % 2 else f"group {row}" for row in rows
        ],
    }
    return pa.table(list(columns.values()), schema=pa.schema(list(columns)))


@dataclass(frozen=True)
class Toy:
    """The graph: two plain files, numbers made with them, and two kinds of sums of these."""

    rows: int = ROWS
    numbers_slots: int = NUMBERS_SLOTS
    sums_slots: int = SUMS_SLOTS
    numbers_version: int = 1
    seed: int = 0
    tolerance: float | None = None
    files_stage: Stage = field(default_factory=Files)
    numbers_stage: Stage = field(default_factory=Numbers)
    sums_stage: Stage = field(default_factory=Sums)

    def files(self) -> Node:
        """Return the plain files."""
        return Node(Recipe("sources", "toy", 1, {}), self.files_stage, 1, 30, 1)

    def numbers(self) -> Node:
        """Return the numbers, in three shards by default."""
        files = self.files()
        recipe = Recipe(
            "numbers",
            f"toy/{self.seed}",
            self.numbers_version,
            {"seed": self.seed},
            {"files": files.recipe},
        )
        return Node(
            recipe,
            self.numbers_stage,
            self.rows,
            22,
            self.numbers_slots,
            inputs={"files": files},
            attributes={"title": "Toy"},
            tolerance=self.tolerance,
        )

    def sums(self, kind: str) -> Node:
        """Return the sums of a kind, in two shards by default."""
        numbers = self.numbers()
        parameters = {"kind": kind, "addend": SUMS.index(kind)}
        recipe = Recipe(
            "sums", f"toy/{self.seed}/{kind}", 1, parameters, {"numbers": numbers.recipe}
        )
        inputs = {"numbers": numbers}
        return Node(recipe, self.sums_stage, self.rows, 8, self.sums_slots, inputs=inputs)

    def targets(self) -> list[Node]:
        """Return what nothing else needs."""
        return [self.sums(kind) for kind in SUMS]

    def nodes(self) -> list[Node]:
        """Return everything, inputs first."""
        return [self.files(), self.numbers(), *self.targets()]


def build(
    root: Path,
    targets: Sequence[Node] | None = None,
    *,
    workers: int = 1,
    disk: Disk | None = None,
    listeners: Sequence[Listener] = (),
    wait_for_others: bool = True,
) -> Outcome:
    """Build targets (by default the toy's) in the store at `root`."""
    store = Store(root, disk)
    plan = make_plan(store, Toy().targets() if targets is None else targets)
    return run(store, plan, Manner(workers, listeners, wait_for_others))


def digests_of(root: Path) -> Digests:
    """Return what must be equal between two builds of the same things."""
    found: Digests = {}
    for manifest in Store(root).manifests():
        names = [INDEX, *manifest.arrays, *manifest.mixed, "files"]
        files = {
            path.relative_to(manifest.folder).as_posix(): digest_file(path)
            for name in names
            for path in sorted((manifest.folder / name).rglob("*"))
            if path.is_file()
        }
        found[manifest.label] = manifest.content_digest, files
    return found


def values_of(root: Path, node: Node, array: str) -> NDArray[Any]:
    """Return all items of an array of a sealed artifact."""
    return Store(root).artifact(node.recipe).array(array)[:]


def forbidden(unit: Unit) -> None:
    """Fail a test in which a unit runs that need not run."""
    message = f"{unit.recipe.label} was built again"
    raise AssertionError(message)
