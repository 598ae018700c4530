"""From a dataset manifest to sealed splits: fetch and unpack, then read and check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.manifest import require_known
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.store import Store
from pipeline.unit import Node, Unit, UnitWriter
from stages.download.folders import common_attributes, folder_of, sealed_counts
from stages.download.raw import file_node, folder_node
from stages.download.schema import SPLITS, Dataset, PhantomForm, Split
from stages.download.sources import FolderSource
from stages.vocabulary import DATASETS

if TYPE_CHECKING:
    import pyarrow as pa

    from stages.download.readers import SplitReader
    from stages.download.transfer import Progress
DATASET_VERSION = 1
BATCH = 64
BATCH_BYTES = 16 << 20
"""Most images, and bytes of them, read at once: bounds the memory beside the shard."""


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


def source_node(
    store: Store,
    dataset: Dataset,
    local: Path | None = None,
    progress: Progress | None = None,
) -> Node | None:
    """Return the source artifact of a dataset; None for one that is rendered.

    A file's key holds the digest its manifest declares, or its immutable identity (record and
    name) where nobody publishes one. A folder's key holds the digest of its inventory.
    """
    source = dataset.source
    if source is None:
        return None
    if isinstance(source, FolderSource):
        return folder_node(store, dataset)

    def members(names: Sequence[str]) -> Sequence[str]:
        from stages.download.readers import READERS

        return READERS[dataset.reader.form].members(dataset, names)

    form = dataset.reader.form
    return file_node(store, source, form, members=members, local=local, progress=progress)


def split_node(store: Store, dataset: Dataset, split: Split, source: Node | None) -> Node:
    """Return the artifact of one split of a dataset.

    Raises
    ------
    UsageError
        If the dataset has no such split.
    """
    counts = counts_of(store, dataset)
    require_known(f"split of dataset {dataset.id}", split, counts)
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
        attributes={**common_attributes(dataset), "classes": list(dataset.classes)},
    )


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


def counts_of(store: Store, dataset: Dataset) -> dict[Split, int]:
    """Return the size of each split: declared, or counted in the folder, or as last sealed.

    Splits are in the order train, val, test.

    Raises
    ------
    MissingInputError
        When only its folder can tell and that is not there.
    """
    if dataset.splits is not None:
        return dataset.splits.counts()
    folder = folder_of(store, dataset) or Path()
    if folder.is_dir():
        from stages.download.readers import reader_of

        reader = reader_of(dataset, folder)
        return {split: len(reader.open(split)) for split in SPLITS if split in reader.splits()}
    return sealed_counts(store, dataset, folder)
