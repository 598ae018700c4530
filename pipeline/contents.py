"""The items of an artifact's arrays, compared with what its index says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.artifact import Artifact, Manifest
from pipeline.digest import digest_bytes
from pipeline.errors import PipelineError
from pipeline.mixed import CHUNK, bounds, shapes_of, shard_folder
from pipeline.shards import ItemSpec, shard_name
from pipeline.tables import digest_column_name, offset_column_name

_NAMED = 10
"""Of the items of a damaged file are named at most."""


def item_faults(manifest: Manifest, index: pa.Table) -> Iterator[tuple[Path, str]]:
    """Yield the file and the detail of every item that `index`, the whole one, does not describe.

    Files are read item by item and never mapped.
    """
    start = 0
    for shard, rows in enumerate(manifest.shard_rows):
        part = index.slice(start, rows)
        for name, spec in manifest.arrays.items():
            path = manifest.folder / name / shard_name(spec, shard)
            for row in _differing(_items(path, spec, rows), part, name):
                yield path, f"item {start + row} does not match its digest in the index"
        for name, dtype in manifest.mixed.items():
            path = manifest.folder / name / shard_folder(shard) / CHUNK
            for row in _differing(_mixed_items(path, part, name, dtype), part, name):
                yield path, f"item {start + row} does not match its digest in the index"
            if wrong := _misplaced(part, name):
                yield path, f"the index has wrong offsets of items {_listed(wrong, start)}"
        start += rows


def mixed_damage(manifest: Manifest, path: Path) -> str:
    """Return which items of mixed size a damaged file loses, where the index still tells."""
    name, _, place = path.relative_to(manifest.folder).as_posix().partition("/")
    if name not in manifest.mixed or not place.endswith(f"/{CHUNK}") or not path.is_file():
        return ""
    shard = int(place.removesuffix(f"/{CHUNK}"))
    start, rows = sum(manifest.shard_rows[:shard]), manifest.shard_rows[shard]
    try:
        part = Artifact(manifest).index(None, start, start + rows)
        wrong = _differing(_mixed_items(path, part, name, manifest.mixed[name]), part, name)
    except (PipelineError, KeyError, ValueError):
        return ""  # the index's own damage is reported
    return f"; of its items {_listed(wrong, start)} are damaged" if wrong else ""


def _differing(items: Iterator[bytes], index: pa.Table, array: str) -> list[int]:
    """Return which items of a shard do not match their digests; `index` is the shard's part."""
    digests = index[digest_column_name(array)].to_pylist()
    return [
        row
        for row, (item, digest) in enumerate(zip(items, digests, strict=True))
        if bytes.fromhex(digest_bytes(item)) != digest
    ]


def _items(path: Path, spec: ItemSpec, rows: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _ in range(rows):
            yield file.read(spec.slot)[: spec.nbytes]


def _mixed_items(path: Path, index: pa.Table, array: str, dtype: str) -> Iterator[bytes]:
    """Yield the items of a shard; a chunk that is cut short has none of those behind its end."""
    sizes = shapes_of(index, array).prod(axis=1) * np.dtype(dtype).itemsize
    if not sizes.any():
        yield from [b""] * len(sizes)
        return
    with path.open("rb") as file:
        for size in sizes:
            yield file.read(int(size))


def _misplaced(index: pa.Table, array: str) -> list[int]:
    """Return which items of a shard do not begin, by its index, where the one before ends."""
    expected = bounds(shapes_of(index, array))[:-1]
    return [
        int(row) for row in np.flatnonzero(index[offset_column_name(array)].to_numpy() != expected)
    ]


def _listed(rows: Sequence[int], start: int) -> str:
    named = ", ".join(str(start + row) for row in rows[:_NAMED])
    return named + (", …" if len(rows) > _NAMED else "")
