"""Finished sets of others as artifacts: ``<suite>@imported/<dataset>/<split>/<corruption>/<k>``."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifact import Artifact
from pipeline.digest import Json, digest_file
from pipeline.errors import DataError, VerificationError
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.exchange.importing.label_map import LabelMap, require_equal
from stages.exchange.importing.layouts import FoundSet
from stages.exchange.npz import Stored
from stages.vocabulary import CORRUPTIONS, IMPORTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
_COLUMNS = ("id", "label", "labels", "patient_id", "original_filepath")
"""Of the clean split's index, which the imported rows are those of."""


class Import:
    """Reads the rows of a set from the file that the key was made of."""

    parallel = True

    def __init__(self, found: FoundSet) -> None:
        self._found = found

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the unit's images, and what the clean split's index says of the samples."""
        found = self._found
        if digest_file(found.path) != unit.recipe.parameters["blake3"]:
            message = f"{found.path}: was changed since its digest was taken: import it again"
            raise VerificationError(message)
        images = writer.array("images", "uint8", found.shape)
        row = 0
        for part in found.images.parts(found.start + unit.start, found.start + unit.stop):
            images[row : row + len(part)] = part.reshape(len(part), *found.shape)
            row += len(part)
        index = inputs["images"].index(None, unit.start, unit.stop)
        writer.table(index.select([name for name in _COLUMNS if name in index.column_names]))


def suite_name(name: str) -> str:
    """Return the name that imported sets are found under."""
    return f"{name}@{IMPORTED}"


def require_fitting(
    found: Sequence[FoundSet], clean: Artifact, labels: LabelMap, shape: tuple[int, ...]
) -> None:
    """Refuse sets that are not of a clean split: their labels, and the shape of their images.

    Parameters
    ----------
    clean
        The sealed clean split.
    shape
        Height, width and channels of the dataset; gray images may have three channels.

    Raises
    ------
    DataError
        Naming the first fault.
    """
    own = tuple(clean.attributes["classes"])
    column = "labels" if clean.attributes["task"] == "multi-label" else "label"
    expected = np.array(clean.index([column])[column].to_pylist(), np.int64)
    places = np.array([own.index(name) for name in labels.classes])
    for one in found:
        if one.shape[:2] != shape[:2] or one.shape[2] not in {shape[2], 3}:
            size = " × ".join(map(str, one.shape))
            message = f"{one.images}: images are {size}, those of {clean.name} are "
            raise DataError(message + " × ".join(map(str, shape)))
        read = one.read_labels(len(own))
        if read.ndim != expected.ndim or read.shape[1:] != expected.shape[1:]:
            message = f"{one.labels}: labels have shape {read.shape}, not {expected.shape}"
            raise DataError(message)
        where = f"{one.labels} (severity {one.severity})"
        require_equal(_numbered(read, places), expected, own, where)


def differing_images(images: Stored, clean: Artifact) -> int:
    """Return how many images are not, bit for bit, those of a sealed clean split.

    A gray image may have three equal channels on either side.
    """
    ours = clean.array("images")
    if images.dtype != np.uint8 or images.shape[:3] != ours.shape[:3]:
        return len(ours)
    row = differing = 0
    for part in images.parts(0, len(ours)):
        theirs = part[..., None] if part.ndim == 3 else part
        own = ours[row : row + len(part)]
        differing += int((theirs != own).any(axis=(1, 2, 3)).sum())
        row += len(part)
    return differing


def _numbered(read: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return labels of a file as the dataset numbers its classes."""
    if read.ndim == 1:
        return places[read]
    found = np.empty_like(read)
    found[:, places] = read
    return found


def import_node(
    form: str, suite: str, found: FoundSet, clean: Node, labels: LabelMap, root: Path
) -> Node:
    """Return the artifact of a set of others; its key holds the digest of the file."""
    of = clean.recipe.parameters
    parameters: dict[str, Json] = {
        "provenance": IMPORTED,
        "format": form,
        "suite": suite,
        "dataset": of["dataset"],
        "split": of["split"],
        "corruption": found.corruption,
        "severity": found.severity,
        "blake3": _digest(found.path),
        "rows": [found.start, found.stop],
        "label_map": list(labels.classes),
    }
    name = f"{suite_name(suite)}/{clean.recipe.name}/{found.corruption}/{found.severity}"
    row_bytes = math.prod(found.shape)
    return Node(
        Recipe(CORRUPTIONS, name, VERSION, parameters, {"images": clean.recipe}),
        Import(found),
        rows=found.rows,
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, found.rows),
        inputs={"images": clean},
        attributes={
            **clean.attributes,
            "provenance": IMPORTED,
            "file": found.path.relative_to(root).as_posix(),
        },
        aligned="images",
    )


@functools.lru_cache(maxsize=64)
def _digest(path: Path) -> str:
    """Return the digest of a file, of which five sets may be."""
    return digest_file(path)
