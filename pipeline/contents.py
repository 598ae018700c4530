"""The items of an artifact's arrays, compared with what its index says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.artifact import Artifact, Manifest
from pipeline.errors import PipelineError, VerificationError
from pipeline.mixed import CHUNK, METADATA, bounds, shapes_of, shard_folder, shard_metadata
from pipeline.passes import Items, pass_over
from pipeline.shards import CRC_BYTES, array_metadata, shard_name
from pipeline.tables import digest_column_name, joined_bytes, offset_column_name

_NAMED = 10
"""Of the items of a damaged file are named at most."""


def items_of(manifest: Manifest, index: pa.Table) -> dict[str, tuple[int, Items]]:
    """Return the first row and the items of every file that holds any, by its path.

    Raises
    ------
    VerificationError
        If the index describes items that their file cannot hold.
    """
    found = {}
    start = 0
    for shard, rows in enumerate(manifest.shard_rows):
        part = index.slice(start, rows)
        for name, spec in manifest.arrays.items():
            path = f"{name}/{shard_name(spec, shard)}"
            sizes: Sequence[int] = [spec.nbytes] * rows
            found[path] = start, Items(sizes, CRC_BYTES, _digests(part, name))
        for name, dtype in manifest.mixed.items():
            path = f"{name}/{shard_folder(shard)}/{CHUNK}"
            if path in manifest.files:
                sizes = _sizes(manifest.folder / path, part, name, dtype).tolist()
                found[path] = start, Items(sizes, 0, _digests(part, name))
        start += rows
    return found


def misplaced_items(manifest: Manifest, index: pa.Table) -> Iterator[tuple[Path, str]]:
    """Yield the file and the detail of items of mixed size that the index puts elsewhere."""
    start = 0
    for shard, rows in enumerate(manifest.shard_rows):
        part = index.slice(start, rows)
        for name in manifest.mixed:
            path = manifest.folder / name / shard_folder(shard) / CHUNK
            if wrong := _misplaced(part, name):
                yield path, f"the index has wrong offsets of items {_listed(wrong, start)}"
        start += rows


def metadata_faults(manifest: Manifest) -> Iterator[tuple[Path, str]]:
    """Yield the file and the detail of every ``zarr.json`` that is not what the manifest implies.

    So a chunk as large as the memory, in a file that only other programs read, is found.
    """
    rows = manifest.shard_rows
    for name, spec in manifest.arrays.items():
        path = manifest.folder / name / METADATA
        expected = array_metadata(spec, manifest.rows, rows[0] if rows else 1)
        if _described(path) != json.loads(expected):
            yield path, "it describes another array than the manifest"
    for name, dtype in manifest.mixed.items():
        for shard in range(len(rows)):
            path = manifest.folder / name / shard_folder(shard) / METADATA
            length = _mixed_length(path.parent / CHUNK, dtype)
            if _described(path) != json.loads(shard_metadata(np.dtype(dtype), length)):
                yield path, "it describes another array than the file beside it"


def _described(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _mixed_length(chunk: Path, dtype: str) -> int:
    size = chunk.stat().st_size if chunk.is_file() else CRC_BYTES
    return (size - CRC_BYTES) // np.dtype(dtype).itemsize


def mixed_damage(manifest: Manifest, path: Path) -> str:
    """Return which items of mixed size a damaged file loses, where the index still tells."""
    name, _, place = path.relative_to(manifest.folder).as_posix().partition("/")
    if name not in manifest.mixed or not place.endswith(f"/{CHUNK}") or not path.is_file():
        return ""
    shard = int(place.removesuffix(f"/{CHUNK}"))
    start, rows = sum(manifest.shard_rows[:shard]), manifest.shard_rows[shard]
    try:
        part = Artifact(manifest).index(None, start, start + rows)
        sizes = _sizes(path, part, name, manifest.mixed[name]).tolist()
        wrong = pass_over(path, Items(sizes, 0, _digests(part, name))).differing
    except (PipelineError, KeyError, ValueError):
        return ""  # the index's own damage is reported
    return f"; of its items {_listed(wrong, start)} are damaged" if wrong else ""


def _digests(index: pa.Table, array: str) -> bytes:
    """Return the digests of a shard's items, one after another; `index` is the shard's part."""
    return bytes(joined_bytes(index[digest_column_name(array)]))


def _sizes(path: Path, index: pa.Table, array: str, dtype: str) -> NDArray[np.int64]:
    """Return the bytes of each item of mixed size of a shard."""
    shapes = shapes_of(index, array)
    size = path.stat().st_size if path.is_file() else 0
    if (shapes < 0).any() or shapes.astype(np.float64).prod(axis=1).max(initial=0) > 2**53:
        message = f"{path}: its {size} bytes cannot hold the items that the index describes"
        raise VerificationError(message)
    sizes: NDArray[np.int64] = shapes.prod(axis=1) * np.dtype(dtype).itemsize
    return np.minimum(sizes, size + 1)  # one byte more than there is reads to the end


def _misplaced(index: pa.Table, array: str) -> list[int]:
    """Return which items of a shard do not begin, by its index, where the one before ends."""
    expected = bounds(shapes_of(index, array))[:-1]
    return [
        int(row) for row in np.flatnonzero(index[offset_column_name(array)].to_numpy() != expected)
    ]


def _listed(rows: Sequence[int], start: int) -> str:
    named = ", ".join(str(start + row) for row in rows[:_NAMED])
    return named + (", …" if len(rows) > _NAMED else "")
