"""Compares every byte of a store with what its manifests promise."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.artifact import ALIAS, INDEX, MANIFEST, RECORDS, Artifact, Manifest
from pipeline.contents import item_faults, mixed_damage
from pipeline.digest import digest_file
from pipeline.documents import read_document
from pipeline.errors import PipelineError, StoreError, VerificationError
from pipeline.shards import missing_items
from pipeline.store import (
    DOWNLOADS,
    LEASES,
    SOURCES_FILE,
    STAGING,
    STORE_FILE,
    VERIFICATION_FILE,
    Store,
    is_recipe_key,
)
from pipeline.tables import content_digest


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a store that is not as promised."""

    artifact: str
    """``<stage>/<name>``, or the empty string for what belongs to no artifact."""
    file: str
    """Path below the store."""
    kind: str
    """changed, truncated, missing, missing_chunk, missing_row, unexpected, leftover_staging,
    unsealed, manifest, content; and recompute, of what is made once more."""
    detail: str


def verify(
    store: Store,
    selected: Callable[[str], bool] = lambda _: True,
    *,
    workers: int = 1,
    progress: Callable[[str, int], None] = lambda _label, _bytes: None,
) -> list[Problem]:
    """Return every problem of the artifacts whose label is selected, and of the store's own files.

    Every file is read in full and never mapped. The artifacts found damaged are remembered in
    the store, where it can be written, for `status` and for all who read them.
    """
    everything = list(store.artifact_folders())
    folders = [path for path in everything if selected(_label(store, path))]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        found = list(pool.map(lambda folder: _artifact(store, folder, progress), folders))
    problems = [*itertools.chain(*found), *_own_files(store), *_leftovers(store)]
    _remember(store, dict(zip(folders, found, strict=True)), whole=folders == everything)
    return problems


def _artifact(store: Store, folder: Path, progress: Callable[[str, int], None]) -> list[Problem]:
    label = _label(store, folder)
    if not (folder / MANIFEST).exists():
        return list(_unsealed(store, label, folder))
    problems = list(_document(store, label, folder / MANIFEST))
    if problems:
        return problems
    manifest = Manifest.read(folder)
    problems.extend(_records(store, manifest))
    problems.extend(_files(store, manifest))
    problems.extend(_unexpected(store, manifest))
    if not problems:
        problems.extend(_content(store, manifest))
    progress(label, manifest.nbytes)
    return problems


def _unsealed(store: Store, label: str, folder: Path) -> Iterator[Problem]:
    path = folder / ALIAS
    detail = "begun and never sealed: build it again to complete it"
    if path.exists():
        problems = list(_document(store, label, path))
        yield from problems
        if problems or (folder.with_name(read_document(path)["recipe_key"]) / MANIFEST).exists():
            return
        detail = "the artifact that it stands for is gone: build it again"
    yield from _published(store, label, folder)
    if not store.is_being_written():
        yield Problem(label, _below(store, folder), "unsealed", detail)


def _published(store: Store, label: str, folder: Path) -> Iterator[Problem]:
    """Compare the shards that are published of an unsealed artifact with their records."""
    for path in sorted((folder / RECORDS).glob("*.json")):
        problems = list(_document(store, label, path))
        yield from problems
        files = {} if problems else read_document(path)["files"]
        for name, promised in sorted(files.items()):
            if damage := _damage(folder / name, promised):
                yield Problem(label, _below(store, folder / name), *damage)


def _damage(path: Path, promised: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the kind and detail of what is wrong with a file, or None."""
    if not path.is_file():
        return "missing", "the file is gone"
    size = path.stat().st_size
    if size == promised["bytes"] and digest_file(path) == promised["blake3"]:
        return None
    if size < promised["bytes"]:
        return "truncated", f"{size} bytes instead of {promised['bytes']}"
    return "changed", f"its {size} bytes do not match the digest that was recorded"


def _document(store: Store, label: str, path: Path) -> Iterator[Problem]:
    try:
        read_document(path)
    except (PipelineError, OSError) as error:
        yield Problem(label, _below(store, path), "manifest", str(error))


def _records(store: Store, manifest: Manifest) -> Iterator[Problem]:
    for shard in range(len(manifest.shard_rows)):
        path = manifest.folder / RECORDS / f"{shard:05d}.json"
        yield from _document(store, manifest.label, path)


def _files(store: Store, manifest: Manifest) -> Iterator[Problem]:
    for name, promised in sorted(manifest.files.items()):
        path = manifest.folder / name
        damage = _damage(path, promised)
        if damage is not None:
            kind, detail = _diagnosis(manifest, path) or damage
            detail += mixed_damage(manifest, path)
            yield Problem(manifest.label, _below(store, path), kind, detail)


def _diagnosis(manifest: Manifest, path: Path) -> tuple[str, str] | None:
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


def _unexpected(store: Store, manifest: Manifest) -> Iterator[Problem]:
    known = set(manifest.files) | {MANIFEST, ALIAS}
    known |= {f"{RECORDS}/{shard:05d}.json" for shard in range(len(manifest.shard_rows))}
    for path in sorted(manifest.folder.rglob("*")):
        if path.is_file() and path.relative_to(manifest.folder).as_posix() not in known:
            detail = "no manifest knows this file"
            yield Problem(manifest.label, _below(store, path), "unexpected", detail)


def _content(store: Store, manifest: Manifest) -> Iterator[Problem]:
    """Check what equal file digests cannot: that index and items belong together."""
    artifact = Artifact(manifest)
    index = artifact.index()
    below = _below(store, manifest.folder)
    if index.num_rows != manifest.rows:
        detail = f"{index.num_rows} rows instead of {manifest.rows}"
        yield Problem(manifest.label, below, "missing_row", detail)
    elif content_digest(index, manifest.arrays, manifest.mixed) != manifest.content_digest:
        detail = "the index does not match the content digest"
        yield Problem(manifest.label, below, "content", detail)
    for path, detail in item_faults(manifest, index):
        yield Problem(manifest.label, _below(store, path), "content", detail)


def _own_files(store: Store) -> Iterator[Problem]:
    for name in (STORE_FILE, VERIFICATION_FILE):
        if (store.root / name).exists():
            yield from _document(store, "", store.root / name)
    try:
        store.pins()
    except PipelineError as error:
        yield Problem("", SOURCES_FILE, "manifest", str(error))


def _leftovers(store: Store) -> Iterator[Problem]:
    for path in store.orphans():
        detail = "left by a writer that is gone: the next build sweeps it"
        yield Problem("", _below(store, path), "leftover_staging", detail)
    known = {STORE_FILE, VERIFICATION_FILE, SOURCES_FILE, ".gitkeep"}
    for path in sorted(store.root.rglob("*")) if store.root.is_dir() else []:
        parts = path.relative_to(store.root).parts
        inside = parts[0] in {STAGING, LEASES, DOWNLOADS} or any(
            is_recipe_key(part) for part in parts
        )
        if path.is_file() and not inside and parts[0] not in known:
            yield Problem("", "/".join(parts), "unexpected", "no artifact knows this file")


def _remember(store: Store, found: dict[Path, list[Problem]], *, whole: bool) -> None:
    """Keep the damaged artifacts on record; those that were not looked at keep their state."""
    before: dict[str, list[str]] | None = None
    with contextlib.suppress(VerificationError):  # its own damage is reported elsewhere
        before = store.damaged()
    if before is None and not whole:
        return  # a new record would forget the artifacts that were not looked at
    damaged = {} if before is None or whole else dict(before)
    for folder, problems in found.items():
        try:
            identity = Manifest.read(folder).identity
        except (PipelineError, OSError):
            continue  # without a readable manifest it does not exist, which needs no record
        damaged.pop(identity, None)
        if problems:
            damaged[identity] = sorted({problem.kind for problem in problems})
    if damaged != before:
        with contextlib.suppress(StoreError):  # a read-only store is verified all the same
            store.record_damaged(damaged)


def _label(store: Store, folder: Path) -> str:
    return "/".join(folder.relative_to(store.root).parts[:-1])


def _below(store: Store, path: Path) -> str:
    return path.relative_to(store.root).as_posix()
