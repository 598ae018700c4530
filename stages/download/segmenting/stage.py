"""From the manifest of a segmentation dataset to sealed splits of images of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.manifest import require_known
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.store import Store
from pipeline.unit import Node, Unit, UnitWriter
from stages.download.folders import common_attributes, folder_of, sealed_counts
from stages.download.raw import ONE_FILE, file_node, folder_node, inventory_node
from stages.download.schema import SPLITS, Split
from stages.download.segmenting.dataset import reader_of
from stages.download.segmenting.index import described, index_of
from stages.download.segmenting.schema import SegmentationDataset
from stages.download.sources import FolderSource, UrlSource
from stages.vocabulary import DATASETS

if TYPE_CHECKING:
    from stages.download.transfer import Progress

SEGMENTATION_VERSION = 1
SOURCE, MASKS = "source", "masks"
"""Roles of the inputs of a split; further sources are `source-1`, ..., lists `test-list-0`, ..."""
WHOLE = "whole"
"""Form of an archive that is unpacked whole."""


class ReadSegmentation:
    """Reads one shard of a split: images and masks in their own size."""

    parallel = True

    def __init__(
        self, dataset: SegmentationDataset, split: Split, roots: Mapping[str, Path]
    ) -> None:
        self._dataset = dataset
        self._split = split
        self._roots = roots

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write images, masks and the index of the unit's rows; what fails is a row too."""
        unpacked = {role: part.file_folder for role, part in inputs.items()}
        reader = reader_of(self._dataset, unpacked | dict(self._roots))
        rows = reader.rows(self._split)[unit.start : unit.stop]
        images = writer.mixed("images")
        masks = writer.mixed("masks")
        sources = writer.mixed("mask_sources")
        instances = writer.mixed("instances", "uint16")
        samples = []
        for row in rows:
            sample = reader.sample(row)
            images.append(sample.image)
            masks.append(sample.masks)
            sources.append(sample.sources)
            instances.append(sample.instances)
            samples.append(described(sample))
        writer.table(index_of(reader, rows, samples))
        writer.attributes["masks_without_image"] = list(reader.strays)
        writer.attributes["split_lists"] = dict(reader.report)


def segmentation_source_nodes(
    store: Store,
    dataset: SegmentationDataset,
    local: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Node]:
    """Return the raw files of a dataset by role: archives, folders and lists of its split set.

    Archives are unpacked whole and shared by all datasets that name the same file. Lists of split
    sets are files of their own, kept as they are and pinned at their first fetch.

    Parameters
    ----------
    local
        Folder that holds the files, for a machine without a network. Where the dataset's source is
        a folder it may hold the lists only; those that it lacks are fetched.

    Raises
    ------
    MissingInputError
        When a folder that a person places is not there and never was.
    """
    nodes = {}
    if isinstance(dataset.source, FolderSource):
        nodes[SOURCE] = folder_node(store, dataset)
    else:
        for number, source in enumerate((dataset.source, *dataset.further_sources)):
            role = f"{SOURCE}-{number}" if number else SOURCE
            nodes[role] = file_node(store, source, WHOLE, local=local, progress=progress)
    if dataset.mask_source is not None:
        folder = Path(dataset.mask_source.path)
        nodes[MASKS] = inventory_node(store, f"{dataset.id}-{MASKS}", folder)
    for role, listed in lists_of(dataset).items():
        if isinstance(listed, UrlSource):
            # Lists of many datasets are called train.json: the place says whose it is.
            name = f"{listed.kind}/{dataset.id}/{role}/{listed.file}"
            known = _holding(dataset, listed, local)
            nodes[role] = file_node(store, listed, ONE_FILE, name=name, local=known)
    return nodes


def segmentation_split_node(
    store: Store,
    dataset: SegmentationDataset,
    split: Split,
    sources: Mapping[str, Node],
) -> Node:
    """Return the artifact of one split of a dataset with masks.

    Parameters
    ----------
    sources
        What `segmentation_source_nodes` returns.

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
        "size": "native",
        "reader": dataset.reader.model_dump(mode="json"),
        "targets": [_drawn(target.model_dump(mode="json")) for target in dataset.targets],
        "split_set": _chosen(dataset),
        "count": dataset.split_set.counts().get(split),
    }
    recipe = Recipe(
        DATASETS,
        f"{dataset.id}/{split}",
        SEGMENTATION_VERSION,
        parameters,
        {role: node.recipe for role, node in sources.items()},
    )
    row_bytes = math.prod(dataset.typical_size) * (dataset.channels + len(dataset.targets))
    rows = counts[split]
    return Node(
        recipe,
        ReadSegmentation(dataset, split, folders_of(store, dataset)),
        rows=rows,
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, rows),
        inputs=sources,
        attributes=_attributes(dataset),
    )


def lists_of(dataset: SegmentationDataset) -> dict[str, UrlSource | str]:
    """Return the lists of the dataset's split set by role, in the order of the splits."""
    files = dataset.split_set.files
    return {
        f"{split}-list-{number}": source
        for split in SPLITS
        for number, source in enumerate(files.of(split) if files else ())
    }


def folders_of(store: Store, dataset: SegmentationDataset) -> dict[str, Path]:
    """Return the folders of the user that are read where they lie, by role."""
    found = {}
    if (folder := folder_of(store, dataset)) is not None:
        found[SOURCE] = folder
    if dataset.mask_source is not None:
        found[MASKS] = Path(dataset.mask_source.path)
    return found


def _holding(dataset: SegmentationDataset, source: UrlSource, local: Path | None) -> Path | None:
    """Return the local folder to take a list from; None: fetch it."""
    if local is None or not isinstance(dataset.source, FolderSource):
        return local
    return local if (local / source.file).is_file() else None


def _chosen(dataset: SegmentationDataset) -> Json:
    """Return what a split set says of who is in which split; counts and origins say nothing."""
    files = dataset.split_set.files
    below = {role: path for role, path in lists_of(dataset).items() if isinstance(path, str)}
    return {
        "name": dataset.split_set.name,
        "form": files.form if files else None,
        "below_root": cast("Json", below),
        "folders": {split: list(each) for split, each in dataset.split_set.folders.items()},
    }


def _drawn(target: dict[str, Json]) -> Json:
    """Return what of a target decides its pixels."""
    return {key: target[key] for key in ("name", "values", "colours", "masks")}


def _attributes(dataset: SegmentationDataset) -> dict[str, Any]:
    return {
        **common_attributes(dataset),
        "targets": [
            {"name": target.name, "noun": target.noun, "plural": target.plural}
            for target in dataset.targets
        ],
        "prompt_family": dataset.prompt_family,
        "frame": dataset.frame,
    }


def counts_of(store: Store, dataset: SegmentationDataset) -> dict[Split, int]:
    """Return the size of each split: declared, or counted in the folder, or as last sealed.

    Splits are in the order train, val, test.

    Raises
    ------
    MissingInputError
        When only its folder can tell and that is not there.
    """
    declared = dataset.split_set.counts()
    known = {split: count for split, count in declared.items() if count is not None}
    if len(known) == len(declared):
        return known
    folders = folders_of(store, dataset)
    if all(folder.is_dir() for folder in folders.values()):
        reader = reader_of(dataset, folders)
        return {split: len(reader.rows(split)) for split in declared}
    return sealed_counts(store, dataset, folders[SOURCE])
