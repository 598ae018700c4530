"""What is wrong with one file of an artifact, as exactly as the file still allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.artifact import INDEX, Manifest
from pipeline.passes import Items, Passes, pass_over
from pipeline.shards import missing_items


def damage_of(
    path: Path,
    promised: Mapping[str, Any],
    items: Items | None = None,
    passes: Passes | None = None,
) -> tuple[tuple[str, str] | None, Sequence[int]]:
    """Return the kind and detail of what is wrong with a file, or None, and its wrong items."""
    if not path.is_file():
        return ("missing", "the file is gone"), ()
    size = path.stat().st_size
    if size < promised["bytes"]:
        return ("truncated", f"{size} bytes instead of {promised['bytes']}"), ()
    found = passes.over(path, items) if passes else pass_over(path, items)
    if found.size == promised["bytes"] and found.digest == promised["blake3"]:
        return None, found.differing
    detail = f"its {found.size} bytes do not match the digest that was recorded"
    return ("changed", detail), found.differing


def diagnosis(manifest: Manifest, path: Path) -> tuple[str, str] | None:
    """Return a damage more exactly than by size and digest, where the file still allows it."""
    rows = manifest.shard_rows
    parent = path.parent.relative_to(manifest.folder).as_posix()
    if parent == INDEX and path.is_file():
        expected = rows[int(path.stem)]
        found = _rows_of(path)
        if found is not None and found != expected:
            return "missing_row", f"{found} rows instead of {expected}"
    elif parent in manifest.arrays and path.name.startswith("c.") and path.is_file():
        gone = missing_items(path, rows[0], rows[int(path.name.split(".")[1])])
        if gone:
            return "missing_chunk", f"items {gone[:10]} are absent from the shard's index"
    return None


def _rows_of(path: Path) -> int | None:
    """Return the rows that a Parquet file says it has, or None if it cannot be read."""
    from pyarrow import parquet

    try:
        with path.open("rb") as file:
            return int(parquet.ParquetFile(file).metadata.num_rows)
    except (pa.ArrowException, OSError, ValueError):  # names that are no text, among others
        return None
