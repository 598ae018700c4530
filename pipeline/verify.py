"""Compares every byte of a store with what its manifests promise."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from pipeline.artifact import ALIAS, INDEX, MANIFEST, RECORDS, Artifact, Manifest
from pipeline.contents import items_of, metadata_faults, misplaced_items, mixed_damage
from pipeline.damage import damage_of, diagnosis
from pipeline.digest import digest_file
from pipeline.documents import read_document
from pipeline.errors import PipelineError, StoreError, VerificationError
from pipeline.passes import Items, Passes
from pipeline.published import CATALOGUE, PUBLISHED, RECIPES, Published
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
    processes: bool = False,
    progress: Callable[[str, int], None] = lambda _label, _bytes: None,
) -> list[Problem]:
    """Return every problem of the artifacts whose label is selected, and of the store's own files.

    Every file is read in full, once, and never mapped. The artifacts found damaged are remembered
    in the store, where it can be written, for `status` and for all who read them.

    Parameters
    ----------
    workers
        Files that are read at the same time.
    processes
        Digest small items in as many processes where that pays; the program that calls this must
        bear to be imported by them (`if __name__ == "__main__"`).
    """
    everything = list(store.artifact_folders())
    folders = [path for path in everything if selected(_label(store, path))]
    with (
        Passes(workers if processes else 0) as passes,
        ThreadPoolExecutor(max(1, workers)) as files,
        ThreadPoolExecutor(max(1, workers)) as pool,
    ):
        check = partial(_artifact, store, files, passes, progress)
        found = list(pool.map(check, folders))
    problems = [*itertools.chain(*found), *_own_files(store), *_leftovers(store)]
    _remember(store, dict(zip(folders, found, strict=True)), whole=folders == everything)
    return problems


def _artifact(
    store: Store,
    files: ThreadPoolExecutor,
    passes: Passes,
    progress: Callable[[str, int], None],
    folder: Path,
) -> list[Problem]:
    label = _label(store, folder)
    if not (folder / MANIFEST).exists():
        return list(_unsealed(store, label, folder))
    try:
        manifest = Manifest.read(folder)
    except (VerificationError, OSError) as error:
        return [Problem(label, _below(store, folder / MANIFEST), "manifest", str(error))]
    problems = list(_place(store, label, manifest))
    problems.extend(_records(store, manifest))
    tables = {name: p for name, p in manifest.files.items() if name.startswith(f"{INDEX}/")}
    problems.extend(_files(store, manifest, tables))
    content = None if problems else _Content.of(store, manifest)
    others = {name: p for name, p in manifest.files.items() if name not in tables}
    items = content.items if content else {}

    def passed(name: str) -> list[Problem]:
        return list(_files(store, manifest, {name: others[name]}, items, passes))

    problems.extend(itertools.chain(*files.map(passed, sorted(others))))
    problems.extend(_beside(store, manifest))
    problems.extend(_unexpected(store, manifest))
    damaged = any(problem.kind != "content" for problem in problems)
    if damaged:  # items that do not match are no news of a file that does not either
        problems = [problem for problem in problems if problem.kind != "content"]
    elif content:
        problems = [*content.problems, *problems, *content.misplaced()]
    progress(label, manifest.nbytes)
    return problems


def _place(store: Store, label: str, manifest: Manifest) -> Iterator[Problem]:
    """Compare where an artifact lies with what it says it is."""
    if (manifest.label, manifest.recipe_key) != (label, manifest.folder.name):
        detail = f"it is {manifest.label} {manifest.recipe_key}, which belongs elsewhere"
        yield Problem(label, _below(store, manifest.folder / MANIFEST), "manifest", detail)


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
            damage, _ = damage_of(folder / name, promised)
            if damage is not None:
                yield Problem(label, _below(store, folder / name), *damage)


def _document(store: Store, label: str, path: Path) -> Iterator[Problem]:
    try:
        read_document(path)
    except (PipelineError, OSError) as error:
        yield Problem(label, _below(store, path), "manifest", str(error))


def _records(store: Store, manifest: Manifest) -> Iterator[Problem]:
    for shard in range(len(manifest.shard_rows)):
        path = manifest.folder / RECORDS / f"{shard:05d}.json"
        yield from _document(store, manifest.label, path)


def _files(
    store: Store,
    manifest: Manifest,
    promised: Mapping[str, Mapping[str, Any]],
    items: Mapping[str, tuple[int, Items]] = MappingProxyType({}),
    passes: Passes | None = None,
) -> Iterator[Problem]:
    """Compare files with what was promised of them and, of items, what the index says."""
    for name, entry in sorted(promised.items()):
        path = manifest.folder / name
        start, within = items.get(name, (0, None))
        damage, differing = damage_of(path, entry, within, passes)
        if damage is not None:
            kind, detail = diagnosis(manifest, path) or damage
            detail += mixed_damage(manifest, path)
            yield Problem(manifest.label, _below(store, path), kind, detail)
        for row in differing if damage is None else ():
            detail = f"item {start + row} does not match its digest in the index"
            yield Problem(manifest.label, _below(store, path), "content", detail)


def _beside(store: Store, manifest: Manifest) -> Iterator[Problem]:
    """Check what lies beside the manifest of an artifact that was pushed."""
    try:
        published = Published.read(manifest)
    except PipelineError as error:
        yield Problem(
            manifest.label, _below(store, manifest.folder / PUBLISHED), "manifest", str(error)
        )
        return
    for name, promised in sorted(published.files.items()) if published else ():
        path = manifest.folder / name
        if not path.is_file():
            yield Problem(manifest.label, _below(store, path), "missing", "the file is gone")
        elif "/" not in name and digest_file(path) != promised["blake3"]:  # records tell themselves
            detail = "it does not match the digest that was recorded when it was pushed"
            yield Problem(manifest.label, _below(store, path), "changed", detail)


def _unexpected(store: Store, manifest: Manifest) -> Iterator[Problem]:
    known = set(manifest.files) | {MANIFEST, ALIAS, PUBLISHED}
    with contextlib.suppress(PipelineError):  # told of already
        published = Published.read(manifest)
        known |= set(published.files) if published else set()
    known |= {f"{RECORDS}/{shard:05d}.json" for shard in range(len(manifest.shard_rows))}
    for path in sorted(manifest.folder.rglob("*")):
        if path.is_file() and path.relative_to(manifest.folder).as_posix() not in known:
            detail = "no manifest knows this file"
            yield Problem(manifest.label, _below(store, path), "unexpected", detail)


@dataclass(frozen=True)
class _Content:
    """What equal file digests cannot tell: whether index and items belong together."""

    store: Store
    manifest: Manifest
    index: pa.Table | None
    items: dict[str, tuple[int, Items]]
    problems: list[Problem]

    @classmethod
    def of(cls, store: Store, manifest: Manifest) -> _Content:
        """Read the index, whose files are as promised, and compare it with the manifest."""
        below = _below(store, manifest.folder)
        index: pa.Table | None = None
        items: dict[str, tuple[int, Items]] = {}
        problems = []
        try:
            index = Artifact(manifest).index()
            if index.num_rows != manifest.rows:
                detail = f"{index.num_rows} rows instead of {manifest.rows}"
                problems.append(Problem(manifest.label, below, "missing_row", detail))
                index = None
            elif content_digest(index, manifest.arrays, manifest.mixed) != manifest.content_digest:
                detail = "the index does not match the content digest"
                problems.append(Problem(manifest.label, below, "content", detail))
            items = items_of(manifest, index) if index is not None else {}
        except (PipelineError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            problems.append(Problem(manifest.label, below, "content", str(error)))
            index = None
        return cls(store, manifest, index, items, problems)

    def misplaced(self) -> Iterator[Problem]:
        """Yield what the index, and what other programs read, says of items' places."""
        faults = [] if self.index is None else list(misplaced_items(self.manifest, self.index))
        for path, detail in [*faults, *metadata_faults(self.manifest)]:
            yield Problem(self.manifest.label, _below(self.store, path), "content", detail)


def _own_files(store: Store) -> Iterator[Problem]:
    for name in (STORE_FILE, VERIFICATION_FILE, CATALOGUE):
        if (store.root / name).exists():
            yield from _document(store, "", store.root / name)
    for path in sorted((store.root / RECIPES).rglob("*.json")):
        yield from _document(store, "", path)
    try:
        store.pins()
    except PipelineError as error:
        yield Problem("", SOURCES_FILE, "manifest", str(error))


def _leftovers(store: Store) -> Iterator[Problem]:
    for path in store.orphans():
        detail = "left by a writer that is gone: the next build sweeps it"
        yield Problem("", _below(store, path), "leftover_staging", detail)
    known = {STORE_FILE, VERIFICATION_FILE, SOURCES_FILE, CATALOGUE, ".gitkeep"}
    for path in sorted(store.root.rglob("*")) if store.root.is_dir() else []:
        parts = path.relative_to(store.root).parts
        inside = (
            (parts[0] == RECIPES and path.suffix == ".json")
            or parts[0] in {STAGING, LEASES, DOWNLOADS}
            or any(is_recipe_key(part) for part in parts)
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
