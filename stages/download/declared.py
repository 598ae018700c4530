"""Datasets of either kind, labelled or with masks, under the same few functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.store import Store
from pipeline.unit import Node
from stages.download import stage
from stages.download.folders import AnyDataset, located
from stages.download.schema import DatasetManifest, Split, expand
from stages.download.segmenting import stage as segmenting
from stages.download.segmenting.schema import (
    SegmentationDataset,
    SegmentationManifest,
    expand_segmentation,
)

AnyManifest: TypeAlias = DatasetManifest | SegmentationManifest


def form_of(fields: Mapping[str, Any]) -> type[AnyManifest]:
    """Return what a manifest in manifests/datasets must be, as its `task` says."""
    return SegmentationManifest if fields.get("task") == "segmentation" else DatasetManifest


def declared_datasets(
    manifest: AnyManifest, folder: Path, local: Path | None
) -> tuple[AnyDataset, ...]:
    """Return the concrete datasets of a manifest that lies in `folder`; see `located`."""
    if isinstance(manifest, SegmentationManifest):
        return tuple(located(one, folder, local) for one in expand_segmentation(manifest))
    return tuple(located(one, folder, local) for one in expand(manifest))


def splits_of(store: Store, dataset: AnyDataset) -> tuple[Split, ...]:
    """Return the splits a dataset has, in the order train, val, test.

    Raises
    ------
    MissingInputError
        When only its folder can tell and that is not there.
    """
    if isinstance(dataset, SegmentationDataset):
        return tuple(segmenting.counts_of(store, dataset))
    return tuple(stage.counts_of(store, dataset))


def split_node(store: Store, dataset: AnyDataset, split: Split, local: Path | None) -> Node:
    """Return the artifact of one split of a dataset, with the sources it is made from.

    Raises
    ------
    UsageError
        If the dataset has no such split.
    """
    if isinstance(dataset, SegmentationDataset):
        sources = segmenting.segmentation_source_nodes(store, dataset, local)
        return segmenting.segmentation_split_node(store, dataset, split, sources)
    return stage.split_node(store, dataset, split, stage.source_node(store, dataset, local))
