"""Arrays of equal items on disk: Zarr v3, one inner chunk an item, whole shards, memory-mapped.

A shard file is the Zarr sharding codec's own layout: for each item its raw bytes and their
crc32c, then for each slot its offset and length (2**64-1 in the slots past the last item), then
the crc32c of that index. It is assembled in one reused buffer and written in one call, because
zarr-python writes such shards at about a tenth of what the disk takes; `zarr.open` reads it.
"""

from __future__ import annotations

import bisect
import itertools
import json
import math
import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import google_crc32c
import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.digest import Json
from pipeline.disk import BLOCK
from pipeline.errors import VerificationError

if TYPE_CHECKING:
    from types import EllipsisType

CRC_BYTES = 4
SLOT_BYTES = 16
EMPTY_SLOT = 2**64 - 1
_READ_AT_ONCE = 256
"""Items; a system call takes 1024 places, and each item needs two."""
TARGET_BYTES = 64 << 20
"""Size aimed at for one shard; larger ones lose more at an interruption, smaller ones files."""

_AXES = {1: ("feature",), 2: ("y", "x"), 3: ("y", "x", "channel")}


@dataclass(frozen=True, slots=True)
class ItemSpec:
    """Type of the items of an array: each has the same `shape` and `dtype`."""

    dtype: str
    """NumPy name of the item type, for example ``uint8`` or ``float32``."""
    shape: tuple[int, ...]
    """Shape of one item, for example ``(224, 224, 3)``."""

    @property
    def nbytes(self) -> int:
        """Bytes of one item."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)

    @property
    def slot(self) -> int:
        """Bytes from one item to the next within a shard."""
        return self.nbytes + CRC_BYTES

    def items(self, buffer: NDArray[np.uint8], rows: int) -> NDArray[Any]:
        """Return a view of the first `rows` items in the bytes of a shard."""
        strides = np.empty(self.shape, self.dtype).strides
        return np.ndarray((rows, *self.shape), self.dtype, buffer.data, 0, (self.slot, *strides))


def rows_per_shard(item_bytes: int, rows: int) -> int:
    """Return how many items go into one shard; depends on sizes only, never on workers."""
    return max(1, min(rows, TARGET_BYTES // max(1, item_bytes)))


class ShardBuffer:
    """Memory in which one shard after another is assembled."""

    def __init__(self, spec: ItemSpec, slots: int) -> None:
        self.spec = spec
        self.slots = slots
        size = slots * (spec.slot + SLOT_BYTES) + CRC_BYTES
        raw = np.empty(size + BLOCK, np.uint8)
        start = -raw.ctypes.data % BLOCK  # the disk takes aligned memory faster
        self._bytes = raw[start : start + size]

    def items(self, rows: int) -> NDArray[Any]:
        """Return the `rows` items to fill, shape ``(rows, *item shape)``."""
        return self.spec.items(self._bytes, rows)

    def finish(self, rows: int) -> memoryview:
        """Add checksums and index for the first `rows` items; return the bytes of the shard."""
        spec = self.spec
        payload = rows * spec.slot
        slots = self._bytes[:payload].reshape(rows, spec.slot)
        for slot in slots:
            slot[spec.nbytes :] = checksum(slot[: spec.nbytes])
        index = np.full((self.slots, 2), EMPTY_SLOT, "<u8")
        index[:rows, 0] = np.arange(rows, dtype="<u8") * np.uint64(spec.slot)
        index[:rows, 1] = spec.slot
        raw = index.reshape(-1).view(np.uint8)
        end = payload + raw.size
        self._bytes[payload:end] = raw
        self._bytes[end : end + CRC_BYTES] = checksum(raw)
        return self._bytes[: end + CRC_BYTES].data


def shard_name(spec: ItemSpec, shard: int) -> str:
    """Return the file name of a shard below its array's folder (Zarr chunk key, "." between)."""
    return ".".join(["c", str(shard), *["0"] * len(spec.shape)])


def shard_bytes(spec: ItemSpec, rows: int, slots: int) -> int:
    """Return the size of the file of a shard with `rows` items in `slots` places."""
    return rows * spec.slot + slots * SLOT_BYTES + CRC_BYTES


def array_metadata(spec: ItemSpec, rows: int, slots: int) -> bytes:
    """Return the ``zarr.json`` of an array of `rows` items in shards of `slots`."""
    inner: list[dict[str, Json]] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "crc32c"},
    ]
    plain = tuple(f"axis_{i}" for i in range(len(spec.shape)))
    pixels = np.dtype(spec.dtype).kind != "f"
    axes = _AXES.get(len(spec.shape), plain) if pixels or len(spec.shape) == 1 else plain
    metadata: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [rows, *spec.shape],
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [slots, *spec.shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [1, *spec.shape],
                    "codecs": inner,
                    "index_codecs": inner,
                    "index_location": "end",
                },
            }
        ],
        "dimension_names": ["sample", *axes],
        "attributes": {},
    }
    return (json.dumps(metadata, indent=1) + "\n").encode()


class ShardedArray:
    """A read-only array of items over memory-mapped shards.

    Indexing by an integer, a slice, a list or an integer array along the first axis returns a
    new NumPy array; `rows` gives a view without copying where the rows lie in one shard.
    """

    def __init__(self, folder: Path, spec: ItemSpec, shard_rows: tuple[int, ...]) -> None:
        self._folder = folder
        self._spec = spec
        self._starts = [0, *itertools.accumulate(shard_rows)]
        self._shards: dict[int, NDArray[Any]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """``(items, *item shape)``."""
        return (len(self), *self._spec.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the items."""
        return np.dtype(self._spec.dtype)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype=dtype)

    def __getitem__(
        self, key: int | slice | EllipsisType | list[int] | NDArray[np.integer[Any]]
    ) -> NDArray[Any]:
        if isinstance(key, (int, np.integer)):
            shard, offset = self._locate(position_of(key, len(self)))
            return np.array(self._shard(shard)[offset])
        if key is Ellipsis:
            key = slice(None)
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                self._require_files(start, stop)
                items = np.empty((max(0, stop - start), *self._spec.shape), self.dtype)
                self.read_into(start, items)
                return items
            key = np.arange(start, stop, step)
        return self._gather(chosen_rows(key, len(self)))

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return items `start` to `stop`, as a view where they lie in one shard."""
        if start >= stop:
            return np.empty((0, *self._spec.shape), self.dtype)
        first, offset = self._locate(start)
        if stop <= self._starts[first + 1]:
            return self._shard(first)[offset : offset + stop - start]
        return self._gather(np.arange(start, stop))

    def _gather(self, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
        if len(rows) and rows.min() >= 0 and rows.max() < len(self):
            self._require_files(int(rows.min()), int(rows.max()) + 1)
        items = np.empty((len(rows), *self._spec.shape), self.dtype)
        for position, row in enumerate(rows):
            items[position] = self[int(row)]
        return items

    def _require_files(self, start: int, stop: int) -> None:
        """See that the files of these rows have their sizes before memory is taken for the rows."""
        if start < stop:
            for shard in range(self._locate(start)[0], self._locate(stop - 1)[0] + 1):
                if shard not in self._shards:
                    self._checked(shard)

    def _locate(self, row: int) -> tuple[int, int]:
        shard = bisect.bisect_right(self._starts, row) - 1
        return shard, row - self._starts[shard]

    def _shard(self, shard: int) -> NDArray[Any]:
        items = self._shards.get(shard)
        if items is None:
            items = self._map(shard)
            self._shards[shard] = items
        return items

    def read_into(self, start: int, items: NDArray[Any]) -> None:
        """Fill `items`, C-contiguous, with those from `start` on by reading files.

        Unlike with `rows` no pages stay mapped, so that memory does not grow with what was read.
        """
        done = 0
        while done < len(items):
            shard, offset = self._locate(start + done)
            rows = min(len(items) - done, self._starts[shard + 1] - start - done, _READ_AT_ONCE)
            self._read_items(shard, offset, items[done : done + rows])
            done += rows

    def _read_items(self, shard: int, offset: int, items: NDArray[Any]) -> None:
        """Read neighbouring items of one shard to their places, and their checksums to none."""
        unused = np.empty(CRC_BYTES, np.uint8)
        places: list[Any] = []
        for item in items.reshape(len(items), -1).view(np.uint8):
            places += [item, unused]
        with self._checked(shard).open("rb", buffering=0) as file:
            got = os.preadv(file.fileno(), places, offset * self._spec.slot)
        if got != len(items) * self._spec.slot:
            message = f"{self._folder}: shard {shard} ended while it was read"
            raise VerificationError(message)

    def _map(self, shard: int) -> NDArray[Any]:
        mapped = np.memmap(self._checked(shard), np.uint8, mode="r")
        items = self._spec.items(mapped, self._starts[shard + 1] - self._starts[shard])
        items.flags.writeable = False
        return items

    def _checked(self, shard: int) -> Path:
        """Return the path of a shard that has its size.

        A map of a file shorter than believed kills the process.
        """
        path = self._folder / shard_name(self._spec, shard)
        rows, slots = self._starts[shard + 1] - self._starts[shard], self._starts[1]
        expected = shard_bytes(self._spec, rows, slots)
        size = path.stat().st_size if path.exists() else 0
        if size != expected:
            message = f"{path}: {size} bytes instead of {expected}: run `pipeline verify`"
            raise VerificationError(message)
        return path


def missing_items(path: Path, slots: int, rows: int) -> list[int]:
    """Return which of the first `rows` items the index of a shard says are absent.

    An index that does not match its own checksum says nothing.
    """
    length = slots * SLOT_BYTES + CRC_BYTES
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - length))
        raw = np.frombuffer(file.read(), np.uint8)
    if raw.size != length or not np.array_equal(checksum(raw[:-CRC_BYTES]), raw[-CRC_BYTES:]):
        return []
    index = raw[:-CRC_BYTES].view("<u8").reshape(slots, 2)[:rows]
    return [int(row) for row in np.flatnonzero((index == EMPTY_SLOT).all(axis=1))]


def checksum(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the crc32c of `data` as it lies on disk: 4 bytes, little-endian."""
    return np.array([google_crc32c.value(data)], "<u4").view(np.uint8)


def position_of(row: SupportsIndex, count: int) -> int:
    """Return the position of `row` among `count` items, counted from the end if negative."""
    position = operator.index(row)
    if not -count <= position < count:
        message = f"row {position} of an array with {count}"
        raise IndexError(message)
    return position % count


def chosen_rows(key: object, count: int) -> NDArray[np.integer[Any]]:
    """Return the rows that a list, an integer array or a mask of `count` flags chooses."""
    rows: NDArray[Any] = np.asarray(key)
    if rows.dtype == bool and rows.shape == (count,):
        return np.flatnonzero(rows)
    integers = rows.dtype.kind in "iu" or rows.size == 0
    if isinstance(key, tuple) or rows.ndim != 1 or not integers:
        message = f"{key!r} is not an index of whole items along the first axis"
        raise IndexError(message)
    return rows
