"""From a dataset manifest to sealed splits: fetch and unpack, then read and check."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifact import Artifact
from pipeline.digest import Json, digest_file, digest_json
from pipeline.errors import DataError
from pipeline.manifest import unknown_name
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.store import DOWNLOADS, Store
from pipeline.unit import Node, Unit, UnitWriter
from stages.download.folders import absent, folder_of
from stages.download.inventory import InventoryEntry, inventory
from stages.download.schema import SPLITS, Dataset, PhantomForm, Split
from stages.download.sources import FileSource, FolderSource, UrlSource, ZenodoSource

if TYPE_CHECKING:
    import pyarrow as pa

    from stages.download.readers import SplitReader


FETCH_VERSION = 1
DATASET_VERSION = 1
DATASETS = "datasets"
BATCH = 64
BATCH_BYTES = 16 << 20
"""Most images, and bytes of them, read at once: bounds the memory beside the shard."""


class Fetch:
    """Brings one source file into the store, verified and unpacked."""

    parallel = True

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        source: FileSource,
        local: Path | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self._store = store
        self._dataset = dataset
        self._source = source
        self._local = local
        self._progress = progress

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Fetch the file, pin its digest if nobody publishes one, unpack it into `writer`."""
        from stages.download.fetch import fetch
        from stages.download.readers import READERS
        from stages.download.unpack import unpack

        del inputs
        name = unit.recipe.name
        source = self._source
        pin = self._store.pins().get("files", {}).get(name)
        if pin and not source.blake3:
            source = source.model_copy(update={"blake3": pin})
        folder = self._store.root / DOWNLOADS / name
        fetched = fetch(source, folder, local=self._local, progress=self._progress)
        reader = READERS[self._dataset.reader.form]
        try:
            unpacked = unpack(
                fetched.path, writer.file_folder, lambda names: reader.members(self._dataset, names)
            )
        except DataError:
            if fetched.origin != str(fetched.path):
                fetched.path.unlink()  # our copy; what a person has placed is left to them
            raise
        if not self._source.digests():
            self._store.pin("files", name, fetched.digests.blake3)
        writer.table(_listing(unpacked, writer.file_folder))
        writer.attributes["origin"] = fetched.origin
        fetched.path.unlink()


class Read:
    """Reads one shard of a split."""

    parallel = True

    def __init__(self, dataset: Dataset, split: Split, folder: Path | None = None) -> None:
        self._dataset = dataset
        self._split = split
        self._folder = folder

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write images, masks where the reader has them, and the index of the unit's rows."""
        from stages.download.readers import reader_of

        folder = self._folder
        if folder is None and "source" in inputs:
            folder = inputs["source"].file_folder
        reader = reader_of(self._dataset, folder).open(self._split)
        shape = (*self._dataset.shape, self._dataset.channels)
        images = writer.array("images", "uint8", shape)
        masks = writer.array("masks", "uint8", (*shape[:2], 1)) if reader.mask_rows else None
        batch = min(BATCH, max(1, BATCH_BYTES // math.prod(shape)))
        for start in range(unit.start, unit.stop, batch):
            stop = min(unit.stop, start + batch)
            rows = slice(start - unit.start, stop - unit.start)
            images[rows] = reader.images(start, stop)
            if masks is not None:
                masks[rows] = reader.masks(start, stop)
        writer.table(_index(reader, slice(unit.start, unit.stop)))


class Inventory:
    """Lists a user's folder, so that all that is made from it keys on what it holds."""

    parallel = True

    def __init__(self, store: Store, entries: Sequence[InventoryEntry]) -> None:
        self._store = store
        self._entries = entries

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write path, size and digest of every file, and remember the folder as it was seen."""
        del inputs
        parameters = unit.recipe.parameters
        self._store.pin("folders", str(parameters["dataset"]), str(parameters["inventory"]))
        writer.table(_listing_table(self._entries))


def source_node(
    store: Store,
    dataset: Dataset,
    local: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Node | None:
    """Return the source artifact of a dataset; None for one that is rendered.

    A file's key holds the digest its manifest declares, or its immutable identity (record and
    name) where nobody publishes one. A folder's key holds the digest of its inventory.
    """
    source = dataset.source
    if source is None:
        return None
    if isinstance(source, FolderSource):
        return _folder_node(store, dataset)
    parameters = {**_identity(source), "form": dataset.reader.form}
    recipe = Recipe("sources", _source_name(source), FETCH_VERSION, parameters)
    stage = Fetch(store, dataset, source, local, progress)
    return Node(recipe, stage, rows=1, row_bytes=source.size_bytes or 0, slots=1)


def _folder_node(store: Store, dataset: Dataset) -> Node:
    """Return the inventory of a folder as it is now, or as it was last seen if it is gone."""
    folder = folder_of(store, dataset) or Path()
    if folder.is_dir():
        entries = inventory(folder)
        digest = digest_json([list(entry) for entry in entries])
    else:
        entries = []
        digest = store.pins().get("folders", {}).get(dataset.id, "")
        if not digest:
            raise absent(dataset, folder)
    parameters: dict[str, Json] = {"dataset": dataset.id, "inventory": digest}
    recipe = Recipe("sources", f"folder/{dataset.id}", FETCH_VERSION, parameters)
    return Node(recipe, Inventory(store, entries), rows=1, row_bytes=0, slots=1)


def split_node(store: Store, dataset: Dataset, split: Split, source: Node | None) -> Node:
    """Return the artifact of one split of a dataset.

    Raises
    ------
    UsageError
        If the dataset has no such split.
    """
    counts = _counts(store, dataset)
    if split not in counts:
        raise unknown_name(f"split of dataset {dataset.id}", split, counts)
    parameters: dict[str, Json] = {
        "dataset": dataset.id,
        "split": split,
        "reader": dataset.reader.model_dump(mode="json"),
        "classes": list(dataset.classes),
        "task": dataset.task,
        "channels": dataset.channels,
        "size": dataset.size if isinstance(dataset.size, int) else list(dataset.size),
        "count": dataset.splits.counts().get(split) if dataset.splits else None,
    }
    inputs = {"source": source} if source else {}
    recipe = Recipe(
        DATASETS,
        f"{dataset.id}/{split}",
        DATASET_VERSION,
        parameters,
        {role: node.recipe for role, node in inputs.items()},
    )
    row_bytes = math.prod(dataset.shape) * dataset.channels
    rows = counts[split]
    return Node(
        recipe,
        Read(dataset, split, folder_of(store, dataset)),
        rows=rows,
        row_bytes=row_bytes * (2 if isinstance(dataset.reader, PhantomForm) else 1),
        slots=rows_per_shard(row_bytes, rows),
        inputs=inputs,
        attributes=_attributes(dataset),
    )


def splits_of(store: Store, dataset: Dataset) -> tuple[Split, ...]:
    """Return the splits a dataset has, in the order train, val, test.

    Raises
    ------
    MissingInputError
        When only its folder can tell and that is not there.
    """
    return tuple(_counts(store, dataset))


def _attributes(dataset: Dataset) -> dict[str, Any]:
    return {
        "title": dataset.title,
        "collection": dataset.collection,
        "modality": dataset.modality,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "synthetic": dataset.synthetic,
        "citation": dataset.citation,
        "licence": dataset.licence.model_dump(mode="json"),
    }


def _source_name(source: FileSource) -> str:
    origin = f"zenodo-{source.record}" if isinstance(source, ZenodoSource) else source.kind
    return f"{origin}/{source.file}"


def _identity(source: FileSource) -> dict[str, Json]:
    identity: dict[str, Json] = {"file": source.file, "digests": dict(source.digests())}
    if isinstance(source, ZenodoSource):
        identity["record"] = source.record
    if isinstance(source, UrlSource) and not source.digests():
        identity["urls"] = list(source.urls)
    return identity


def _listing(paths: Sequence[Path], root: Path) -> pa.Table:
    files = sorted(path.relative_to(root).as_posix() for path in paths)
    return _listing_table(
        [
            InventoryEntry(file, (root / file).stat().st_size, digest_file(root / file))
            for file in files
        ]
    )


def _listing_table(entries: Sequence[InventoryEntry]) -> pa.Table:
    import pyarrow as pa

    from pipeline.tables import column

    schema = pa.schema(
        [
            column("path", pa.string(), "", "path of the file below its folder"),
            column("bytes", pa.int64(), "byte", "length of the file"),
            column("blake3", pa.string(), "", "blake3 of the file"),
        ]
    )
    values = [[entry[position] for entry in entries] for position in range(3)]
    return pa.table(values, schema=schema)


def _index(reader: SplitReader, rows: slice) -> pa.Table:
    import pyarrow as pa

    from pipeline.tables import column

    count = rows.stop - rows.start
    patients, paths = reader.patient_ids, reader.original_filepaths
    label = column("label", pa.int32(), "1", "class id, a position in the dataset's classes")
    if reader.dataset.task == "multi-label":
        meaning = "1 for each class the sample is of, else 0, in the order of the dataset's classes"
        label = column("labels", pa.list_(pa.int8()), "1", meaning)
    schema = pa.schema(
        [
            column("id", pa.string(), "", "sample id, unique within the dataset's split"),
            label,
            column("patient_id", pa.string(), "", "patient the image is of, where known"),
            column("original_filepath", pa.string(), "", "the image's file at its source"),
        ]
    )
    columns = [
        list(reader.ids[rows]),
        reader.labels[rows] if reader.labels.ndim == 1 else reader.labels[rows].tolist(),
        [None] * count if patients is None else list(patients[rows]),
        [None] * count if paths is None else list(paths[rows]),
    ]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def _counts(store: Store, dataset: Dataset) -> dict[Split, int]:
    """Return the size of each split: declared, or counted in the folder, or as last sealed."""
    if dataset.splits is not None:
        return dataset.splits.counts()
    folder = folder_of(store, dataset) or Path()
    if folder.is_dir():
        from stages.download.readers import reader_of

        reader = reader_of(dataset, folder)
        return {split: len(reader.open(split)) for split in SPLITS if split in reader.splits()}
    sealed = list(store.manifests_below(store.root / DATASETS / dataset.id))
    found = {manifest.parameters["split"]: manifest.rows for manifest in sealed}
    if not found:
        raise absent(dataset, folder)
    return {split: found[split] for split in SPLITS if split in found}
