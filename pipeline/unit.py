"""One unit of work: one shard of one artifact, written whole and published with a record."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.alignment import require_aligned
from pipeline.artifact import FILES, INDEX, RECORDS, Artifact, index_name, record_name
from pipeline.digest import digest_bytes, digest_file
from pipeline.disk import remove_tree
from pipeline.documents import Document, seal_document
from pipeline.errors import DataError, NonDeterminismError
from pipeline.mixed import CHUNK, METADATA, MixedItems, shard_folder
from pipeline.recipe import Recipe
from pipeline.schemas import RECORD
from pipeline.shards import ItemSpec, ShardBuffer, shard_name
from pipeline.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

RECORD_SCHEMA = RECORD


class Stage(Protocol):
    """What turns inputs into the shards of an artifact. Resources are its own attributes."""

    @property
    def parallel(self) -> bool | int:
        """Whether several units may run at the same time in one process, or how many of them."""

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Make one unit from its inputs, handing its content to `writer`."""


@dataclass(frozen=True)
class Node:
    """An artifact that exists in principle, and the stage that makes it."""

    recipe: Recipe
    stage: Stage
    rows: int
    """Rows of its index as far as known before it is built; 1 for a source."""
    row_bytes: int
    """Estimated bytes of one row."""
    slots: int
    """Rows of one shard; a function of sizes, never of workers."""
    inputs: Mapping[str, Node] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest will say beside the content; not part of the key."""
    tolerance: float | None = None
    """Largest difference allowed between two builds; None where they must be equal."""
    aligned: str | None = None
    """Role of the input that has the same rows: what both indices say of a row must be equal."""
    promised: str | None = None
    """Content digest without which it is not sealed; None where nobody has promised any."""

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.rows // self.slots)

    @property
    def units(self) -> Sequence[Unit]:
        """All units of the artifact."""
        return _Units(self, range(self.shards))


@dataclass(frozen=True, slots=True)
class Unit:
    """Shard number `shard` of an artifact: rows `start` to `stop`."""

    node: Node
    shard: int

    @property
    def start(self) -> int:
        """First row."""
        return self.shard * self.node.slots

    @property
    def stop(self) -> int:
        """Row after the last."""
        return min(self.node.rows, self.start + self.node.slots)

    @property
    def recipe(self) -> Recipe:
        """Recipe of the artifact."""
        return self.node.recipe


class _Units(Sequence[Unit]):
    """Units of an artifact, each made when it is asked for: a large plan has millions."""

    def __init__(self, node: Node, shards: range) -> None:
        self._node = node
        self._shards = shards

    def __len__(self) -> int:
        return len(self._shards)

    @overload
    def __getitem__(self, place: int) -> Unit: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Unit]: ...
    def __getitem__(self, place: int | slice) -> Unit | Sequence[Unit]:
        if isinstance(place, slice):
            return _Units(self._node, self._shards[place])
        return Unit(self._node, self._shards[place])


class UnitWriter:
    """Takes the content of one unit and publishes it."""

    def __init__(self, store: Store, unit: Unit, staging: Path) -> None:
        self.attributes: dict[str, Any] = {}
        self.totals: dict[str, int] = {}
        """Numbers of which the artifact's attributes hold the sum over its units."""
        self.largest: dict[str, float] = {}
        """Numbers of which they hold the largest over its units."""
        self._store = store
        self._unit = unit
        self._staging = staging
        self._folder = store.folder(unit.recipe)
        self._specs: dict[str, ItemSpec] = {}
        self._mixed: dict[str, MixedItems] = {}
        self._table: pa.Table | None = None
        self._files: dict[str, dict[str, Any]] = {}
        self._started = time.perf_counter()

    def array(self, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the items of array `name` to be filled, shape ``(rows of the unit, *shape)``."""
        self._specs[name] = ItemSpec(dtype, shape)
        return self._buffer(name).items(self._unit.stop - self._unit.start)

    def mixed(self, name: str, dtype: str = "uint8") -> MixedItems:
        """Return array `name` of items of mixed size, to which one is appended for each row."""
        self._mixed[name] = MixedItems(name, dtype)
        return self._mixed[name]

    def table(self, table: pa.Table) -> None:
        """Take the index of the unit: one row per item, in order."""
        self._table = table

    @property
    def file_folder(self) -> Path:
        """A folder, not made yet, whose plain files become the artifact's ``files``."""
        return self._staging / FILES

    def commit(self) -> None:
        """Publish arrays, then index, then files, then the record; all durable, in this order."""
        if self._table is None:
            message = f"{self._unit.recipe.label}: the stage wrote no index"
            raise DataError(message)
        table = self._table
        if self._unit.node.aligned is not None:
            require_aligned(self._store, self._unit, self._unit.node.aligned, table)
        folders: set[Path] = set()
        for name in self._specs:
            folders.add(self._publish_array(name))
            table = table.append_column(*self._digest_column(name))
        for items in self._mixed.values():
            folders |= self._publish_mixed(items)
            for described, values in items.columns():
                table = table.append_column(described, values)
        folders |= self._publish_files()
        folders.add(self._publish_index(table))
        # The folders above, too: another worker may have made one and not synced it yet.
        above = {above for folder in folders for above in folder.parents}
        for folder in sorted(folders | {a for a in above if a.is_relative_to(self._folder)}):
            self._store.disk.sync_folder(folder)
        self._publish_record(table.num_rows)

    def _buffer(self, name: str) -> ShardBuffer:
        return _buffer(name, self._specs[name], self._unit.node.slots)

    def _publish_array(self, name: str) -> Path:
        rows = self._unit.stop - self._unit.start
        buffer = self._buffer(name)
        final = self._folder / name / shard_name(self._specs[name], self._unit.shard)
        try:
            self._publish(final, buffer.finish(rows))
        except NonDeterminismError:
            if self._unit.node.tolerance is None:
                raise
            self._adopt(final, buffer.items(rows), self._unit.node.tolerance)
            self._publish(final, buffer.finish(rows))
        return final.parent

    def _publish_mixed(self, items: MixedItems) -> set[Path]:
        rows = self._unit.stop - self._unit.start
        if len(items) != rows:
            of = f"{self._unit.recipe.label}: array {items.name}"
            message = f"{of} has {len(items)} items for {rows} rows"
            raise DataError(message)
        folder = self._folder / items.name / shard_folder(self._unit.shard)
        content = {folder / CHUNK: items.chunk(), folder / METADATA: items.metadata()}
        found = {path: data for path, data in content.items() if data is not None}
        for path, data in found.items():
            self._publish(path, data)
        return {path.parent for path in found}

    def _adopt(self, final: Path, items: NDArray[Any], tolerance: float) -> None:
        """Take over published items that equal ours within the tolerance: the first one wins."""
        spec = ItemSpec(items.dtype.name, items.shape[1:])
        theirs = np.fromfile(final, np.uint8)
        if theirs.size < len(items) * spec.slot:
            raise self._differs(final)
        kept = spec.items(theirs, len(items))
        if not np.allclose(kept, items, rtol=0, atol=tolerance, equal_nan=True):
            raise self._differs(final)
        items[:] = kept

    def _digest_column(self, name: str) -> tuple[pa.Field, pa.Array]:
        import pyarrow as pa

        from pipeline.tables import DIGEST_TYPE, column, digest_column_name

        items = self._buffer(name).items(self._unit.stop - self._unit.start)
        digests = [bytes.fromhex(digest_bytes(_raw(item))) for item in items]
        field_ = column(digest_column_name(name), DIGEST_TYPE, "", f"blake3 of the raw {name} item")
        return field_, pa.array(digests, DIGEST_TYPE)

    def _publish_index(self, table: pa.Table) -> Path:
        from pipeline.tables import encode_table

        expected = self._unit.stop - self._unit.start
        if (self._specs or self._mixed) and table.num_rows != expected:
            message = f"{self._unit.recipe.label}: {table.num_rows} index rows for {expected} items"
            raise DataError(message)
        final = self._folder / INDEX / index_name(self._unit.shard)
        self._publish(final, encode_table(table))
        return final.parent

    def _publish_files(self) -> set[Path]:
        root = self._staging / FILES
        folders = set()
        for path in sorted(root.rglob("*")) if root.exists() else []:
            if path.is_file():
                final = self._folder / FILES / path.relative_to(root)
                self._store.disk.sync_file(path)
                self._register(final, path.stat().st_size, digest_file(path))
                self._link(path, final)
                folders.add(final.parent)
        return folders

    def _publish(self, final: Path, data: memoryview) -> None:
        staged = self._staging / "content.part"
        size, digest = self._store.disk.write(staged, [data])
        self._register(final, size, digest)
        try:
            self._link(staged, final)
        finally:
            remove_tree(staged)

    def _register(self, final: Path, size: int, digest: str) -> None:
        path = final.relative_to(self._folder).as_posix()
        self._files[path] = {"bytes": size, "blake3": digest}

    def _link(self, staged: Path, final: Path) -> None:
        self._store.disk.make_folder(final.parent)
        try:
            self._store.disk.link(staged, final)
        except FileExistsError:
            ours = self._files[final.relative_to(self._folder).as_posix()]["blake3"]
            if digest_file(final) != ours:
                raise self._differs(final) from None

    def _differs(self, final: Path) -> NonDeterminismError:
        return NonDeterminismError(
            f"{final}: another writer of the same unit produced different bytes; remove "
            f"{self._folder} and build again, and report it if it happens twice"
        )

    def _publish_record(self, rows: int) -> None:
        record: Document = {
            "schema": RECORD_SCHEMA,
            "recipe_key": self._unit.recipe.key,
            "shard": self._unit.shard,
            "rows": rows,
            "arrays": {
                name: {"dtype": spec.dtype, "shape": list(spec.shape)}
                for name, spec in self._specs.items()
            }
            | {
                name: {"dtype": items.dtype.name, "shape": None}
                for name, items in self._mixed.items()
            },
            "files": self._files,
            "attributes": self.attributes,
            "totals": self.totals,
            "largest": self.largest,
            "seconds": round(time.perf_counter() - self._started, 4),
        }
        final = self._folder / RECORDS / record_name(self._unit.shard)
        staged = self._staging / "record.part"
        self._store.disk.write(staged, [seal_document(record)])
        self._store.disk.publish(staged, final)  # or an equal unit was: its files were compared


def _raw(item: NDArray[Any]) -> memoryview:
    return item.reshape(-1).view(np.uint8).data


_reused = threading.local()


def _buffer(name: str, spec: ItemSpec, slots: int) -> ShardBuffer:
    """Return this thread's buffer for an array, made anew only when its type changes."""
    buffers: dict[str, ShardBuffer] = _reused.__dict__
    kept = buffers.get(name)
    if kept is None or kept.spec != spec or kept.slots != slots:
        buffers[name] = kept = ShardBuffer(spec, slots)
    return kept
