"""Small segmentation datasets in the real on-disk form of every reader, and how to build them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray
from PIL import Image

from pipeline.artifact import Artifact
from pipeline.plan import make_plan
from pipeline.runner import Manner, run
from pipeline.store import Store
from stages.download.segmenting.schema import (
    SegmentationDataset,
    SegmentationManifest,
    expand_segmentation,
)
from stages.download.segmenting.stage import segmentation_source_nodes, segmentation_split_node

REPOSITORY = Path(__file__).parents[4]

MANIFEST = """
schema = 1
id = "tiny"
title = "Tiny"
collection = "tests"
modality = "endoscopy"
task = "segmentation"
typical_size = [12, 16]
channels = 3
citation = "none"
access = "open"
[[targets]]
name = "polyp"
noun = "polyp"
[licence]
spdx = "CC-BY-4.0"
redistribution = "pixels"
share_alike = false
source = "the test itself"
[reader]
form = "pairs"
images = ["images/{stem}.*"]
masks = ["masks/{stem}.*"]
[source]
kind = "folder"
instructions = "Place it."
[[split_sets]]
name = "all"
source = "none"
"""


def declared(**changes: Any) -> SegmentationManifest:
    """Return the tiny manifest with some fields replaced."""
    fields = tomllib.loads(MANIFEST) | changes
    return SegmentationManifest.model_validate_json(pydantic.TypeAdapter(dict).dump_json(fields))


def dataset_in(folder: Path, **changes: Any) -> SegmentationDataset:
    """Return the first dataset of the tiny manifest, with its files in `folder`."""
    source = {"kind": "folder", "path": str(folder)}
    return expand_segmentation(declared(**({"source": source} | changes)))[0]


def blob(height: int = 12, width: int = 16, top: int = 2, left: int = 3) -> NDArray[np.uint8]:
    """Return a mask with a rectangle of 4 × 5 pixels, 0 or 255."""
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + 4, left : left + 5] = 255
    return mask


def photograph(height: int = 12, width: int = 16, seed: int = 0) -> NDArray[np.uint8]:
    """Return a smooth RGB image."""
    rows, columns = np.indices((height, width))
    planes = [rows * 9 + seed, columns * 7 + 20, rows + columns + 90]
    return np.stack(planes, axis=2).astype(np.uint8)


def save(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """Write a picture of any array that Pillow takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def built(
    store: Store, dataset: SegmentationDataset, split: str = "test", local: Path | None = None
) -> Artifact:
    """Build one split and return it."""
    sources = segmentation_source_nodes(store, dataset, local)
    node = segmentation_split_node(store, dataset, split, sources)  # type: ignore[arg-type]
    run(store, make_plan(store, [node]), Manner(1)).raise_failures()
    return store.artifact(node.recipe)


def index(artifact: Artifact) -> list[dict[str, Any]]:
    """Return the index without what the engine adds, metadata parsed."""
    lines: list[Mapping[str, Any]] = artifact.index().to_pylist()
    return [dict(line) | {"metadata": json.loads(line["metadata"])} for line in lines]
