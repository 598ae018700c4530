"""Images of a sealed artifact as an encoder takes them: read when they are needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.mixed import MixedArray
from pipeline.shards import ShardedArray
from stages.embed.encoder import Image

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES_AT_ONCE = 4 << 20
"""Of neighbouring images of one size, read in one go."""


class StoredImages(Sequence[Image]):
    """Chosen images of a sealed array, of one size or of mixed sizes.

    Nothing is read before an image is asked for, and nothing stays in memory; several threads may
    read at once.
    """

    def __init__(self, array: ShardedArray | MixedArray, rows: Sequence[int]) -> None:
        self._array = array
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: int) -> Image: ...

    @overload
    def __getitem__(self, key: slice) -> StoredImages: ...

    def __getitem__(self, key: int | slice) -> Image | StoredImages:
        if isinstance(key, slice):
            return StoredImages(self._array, self._rows[key])
        return self._array[self._rows[key]]

    def __iter__(self) -> Iterator[Image]:
        if isinstance(self._array, MixedArray):
            yield from (self._array[row] for row in self._rows)
            return
        at_once = max(1, _BYTES_AT_ONCE // max(1, math.prod(self._array.shape[1:])))
        for start in range(0, len(self), at_once):
            rows = self._rows[start : start + at_once]
            # Neighbours are read by files, of which no pages stay mapped.
            neighbours = all(row + 1 == after for row, after in itertools.pairwise(rows))
            yield from self._array[rows[0] : rows[-1] + 1] if neighbours else self._array[[*rows]]


def stored_images(artifact: Artifact, rows: Sequence[int]) -> StoredImages:
    """Return the images of chosen rows of an artifact, all of one size or of mixed sizes."""
    mixed = "images" in artifact.manifest.mixed
    return StoredImages(artifact.mixed("images") if mixed else artifact.array("images"), rows)


def sample_rows(artifact: Artifact, start: int, stop: int) -> pa.Table:
    """Return what the embeddings of rows `start` to `stop` say of their images.

    That is the id, and of images of mixed size status and error: those that have none say why.
    """
    said = ["status", "error"] if "images" in artifact.manifest.mixed else []
    return artifact.index(["id", *said], start, stop)


def present_rows(index: pa.Table) -> NDArray[np.bool_]:
    """Return which of the rows that `sample_rows` returned have an image."""
    if "status" not in index.column_names:
        return np.ones(index.num_rows, np.bool_)
    present: NDArray[np.bool_] = np.array(index["status"].to_pylist(), np.object_) == "ok"
    return present


def positions(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the position of each present row among those that are; -1 for the others."""
    return np.where(present, np.cumsum(present) - 1, -1)


def within(start: int, present: NDArray[np.bool_]) -> Sequence[int]:
    """Return the row numbers, from `start` on, of those that are present."""
    if present.all():
        return range(start, start + len(present))
    return [start + int(row) for row in np.flatnonzero(present)]
