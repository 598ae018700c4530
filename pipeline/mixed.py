"""Arrays of items of mixed size on disk: per shard one flat Zarr v3 array of whole items.

``<name>/<shard, 5 digits>`` is a Zarr array of one axis that holds the shard's items back to back,
as one chunk of raw bytes and their crc32c, and ``<name>`` is the group of them; a shard without an
element is an array of length 0, which has no chunk. The index tells where an item lies and what
shape it has: ``<name>_offset`` (elements from the shard's start), ``<name>_height``,
``<name>_width`` and ``<name>_channels``. Files are read, never mapped.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import digest_bytes
from pipeline.disk import BLOCK
from pipeline.errors import DataError, VerificationError
from pipeline.shards import CRC_BYTES, TARGET_BYTES, checksum, chosen_rows, position_of

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = "c/0"
"""Path of the only chunk of a shard below its folder."""

METADATA = "zarr.json"

Shapes = NDArray[np.int64]
"""(N, 3) int64: height, width and channels of each item."""


def shape_columns(array: str) -> list[str]:
    """Return the index columns that hold the shapes of the items."""
    return [f"{array}_{axis}" for axis in ("height", "width", "channels")]


def shapes_of(table: pa.Table, array: str) -> Shapes:
    """Return the shapes of the items of `array`, (N, 3), from the index."""
    columns = [table[name].to_numpy() for name in shape_columns(array)]
    return np.stack(columns, axis=1).astype(np.int64)


def bounds(shapes: Shapes) -> NDArray[np.int64]:
    """Return where the items of a shard begin, in elements, and where the last ends: (N + 1,)."""
    return np.concatenate([[0], np.cumsum(shapes.prod(axis=1))]).astype(np.int64)


def fits(shapes: Shapes, elements: int) -> bool:
    """Tell whether items of these shapes can lie in that many elements; nothing overflows."""
    if (shapes < 0).any():
        return False
    # In floating point, as products of three large numbers leave the range of integers.
    return float(shapes.astype(np.float64).prod(axis=1).sum()) <= elements


def shard_folder(shard: int) -> str:
    """Return the name of a shard below the array's folder."""
    return f"{shard:05d}"


class MixedItems:
    """The items of one unit, kept back to back in memory until it is committed.

    `append` is called once for each row of the unit, in order.
    """

    def __init__(self, name: str, dtype: str) -> None:
        self.name = name
        self.dtype = np.dtype(dtype)
        self._bytes = _aligned(TARGET_BYTES)  # memory that is never touched costs nothing
        self._size = 0
        self._shapes: list[tuple[int, ...]] = []
        self._digests: list[bytes] = []

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, item: NDArray[Any]) -> None:
        """Take the item of the next row: (H, W, C) of the array's dtype, (0, 0, 0) for none.

        Raises
        ------
        DataError
            If it has another dtype or number of axes.
        """
        if item.dtype != self.dtype or item.ndim != 3:
            message = (
                f"{self.name} takes items of shape (H, W, C) and dtype {self.dtype}, "
                f"not {item.shape} {item.dtype}"
            )
            raise DataError(message)
        start = self._size
        self._reserve(start + item.nbytes + CRC_BYTES)
        self._size += item.nbytes
        place = self._bytes[start : self._size]
        place.view(self.dtype).reshape(item.shape)[:] = item
        self._shapes.append(item.shape)
        self._digests.append(bytes.fromhex(digest_bytes(place.data)))

    def chunk(self) -> memoryview | None:
        """Return the bytes of the shard's chunk; None where it has no element."""
        if not self._size:
            return None
        end = self._size + CRC_BYTES
        self._bytes[self._size : end] = checksum(self._bytes[: self._size])
        return self._bytes[:end].data

    def metadata(self) -> memoryview:
        """Return the ``zarr.json`` of the shard."""
        return memoryview(shard_metadata(self.dtype, self._size // self.dtype.itemsize))

    def columns(self) -> list[tuple[pa.Field, pa.Array]]:
        """Return what the index says of the items: offset, shape and digest."""
        import pyarrow as pa

        from pipeline.tables import DIGEST_TYPE, column, digest_column_name, offset_column_name

        name = self.name
        shapes = np.array(self._shapes, np.int64).reshape(-1, 3)
        meaning = f"where the {name} item begins in its shard, in elements"
        found = [(column(offset_column_name(name), pa.int64(), "1", meaning), bounds(shapes)[:-1])]
        units = ("pixel", "pixel", "1")
        for axis, unit, values in zip(shape_columns(name), units, shapes.T, strict=True):
            meaning = f"{axis.removeprefix(f'{name}_')} of the {name} item, 0 where there is none"
            found.append((column(axis, pa.int32(), unit, meaning), values))
        columns = [(field, pa.array(values, field.type)) for field, values in found]
        digest = column(digest_column_name(name), DIGEST_TYPE, "", f"blake3 of the raw {name} item")
        return [*columns, (digest, pa.array(self._digests, DIGEST_TYPE))]

    def _reserve(self, size: int) -> None:
        if size > self._bytes.size:
            larger = _aligned(max(size, 2 * self._bytes.size))
            larger[: self._size] = self._bytes[: self._size]
            self._bytes = larger


def shard_metadata(dtype: np.dtype[Any], length: int) -> bytes:
    """Return the ``zarr.json`` of a shard of `length` elements."""
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [length],
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(1, length)]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
        "dimension_names": ["element"],
        "attributes": {},
    }
    return (json.dumps(metadata, indent=1) + "\n").encode()


def group_metadata() -> bytes:
    """Return the ``zarr.json`` of the group of an array's shards."""
    metadata = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    return (json.dumps(metadata, indent=1) + "\n").encode()


class MixedArray:
    """A read-only array of items that each have a shape of their own.

    An integer gives a new array (H, W, C); a slice, a list or an integer array gives a list of
    them. Nothing is kept mapped or open, so that it may be pickled and used by several threads.
    """

    def __init__(
        self,
        folder: Path,
        dtype: str,
        shard_rows: Sequence[int],
        shapes: Callable[[int], Shapes],
    ) -> None:
        self._folder = folder
        self._dtype = dtype
        self._starts = [0, *itertools.accumulate(shard_rows)]
        self._read_shapes = shapes
        self._shards: dict[int, tuple[Shapes, NDArray[np.int64]]] = {}

    def __repr__(self) -> str:
        return f"<MixedArray of {len(self)} items, {self._dtype}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the items' elements."""
        return np.dtype(self._dtype)

    @property
    def shapes(self) -> Shapes:
        """Height, width and channels of each item, (N, 3) int64."""
        shards = range(len(self._starts) - 1)
        return np.concatenate([np.empty((0, 3), np.int64), *(self._shard(s)[0] for s in shards)])

    @overload
    def __getitem__(self, key: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(
        self, key: slice | list[int] | NDArray[np.integer[Any]]
    ) -> list[NDArray[Any]]: ...

    def __getitem__(
        self, key: int | slice | list[int] | NDArray[np.integer[Any]]
    ) -> NDArray[Any] | list[NDArray[Any]]:
        if isinstance(key, (int, np.integer)):
            return self._item(position_of(key, len(self)))
        if isinstance(key, slice):
            return [self._item(row) for row in range(*key.indices(len(self)))]
        return [self[int(row)] for row in chosen_rows(key, len(self))]

    def _item(self, row: int) -> NDArray[Any]:
        shard = bisect_right(self._starts, row) - 1
        row -= self._starts[shard]
        shapes, starts = self._shard(shard)
        start, size = (int(n) * self.dtype.itemsize for n in (starts[row], starts[-1]))
        path = self._folder / shard_folder(shard) / CHUNK
        if starts[row] == starts[row + 1]:
            return np.empty(shapes[row], self.dtype)
        with _opened(path, size + CRC_BYTES) as file:
            item = np.empty(shapes[row], self.dtype)
            got = os.preadv(file, [item.reshape(-1).view(np.uint8).data], start)
        if got != item.nbytes:
            message = f"{path}: ended while it was read: run `pipeline verify`"
            raise VerificationError(message)
        return item

    def _shard(self, shard: int) -> tuple[Shapes, NDArray[np.int64]]:
        if shard not in self._shards:
            shapes = self._read_shapes(shard)
            path = self._folder / shard_folder(shard) / CHUNK
            size = path.stat().st_size if path.is_file() else 0
            if not fits(shapes, size // self.dtype.itemsize):
                message = f"{path}: its {size} bytes cannot hold the items that the index describes"
                raise VerificationError(f"{message}: run `pipeline verify`")
            self._shards[shard] = shapes, bounds(shapes)
        return self._shards[shard]


@contextlib.contextmanager
def _opened(path: Path, size: int) -> Iterator[int]:
    """Yield the descriptor of a file that has its size."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        message = f"{path}: {error.strerror}: run `pipeline verify`"
        raise VerificationError(message) from error
    try:
        found = os.fstat(file).st_size
        if found != size:
            message = f"{path}: {found} bytes instead of {size}: run `pipeline verify`"
            raise VerificationError(message)
        yield file
    finally:
        os.close(file)


def _aligned(size: int) -> NDArray[np.uint8]:
    raw = np.empty(size + BLOCK, np.uint8)
    start = -raw.ctypes.data % BLOCK  # the disk takes aligned memory faster
    return raw[start : start + size]
