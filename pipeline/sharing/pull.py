"""Pull: from a remote store into a local one, every digest verified before a file has its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.artifact import ALIAS, MANIFEST, Manifest, require_schema
from pipeline.digest import digest_bytes, digest_file
from pipeline.documents import parse_document, read_document, seal_document
from pipeline.errors import MissingInputError, StoreError, VerificationError
from pipeline.published import PUBLISHED, Published, records_of
from pipeline.sharing.holdings import Holdings, in_parallel, inputs_of
from pipeline.sharing.names import Place
from pipeline.sharing.remote import Remote
from pipeline.sharing.streams import Checked
from pipeline.sharing.transfer import Moved, Outcome, Told, Work, carry_out
from pipeline.sharing.trouble import AbsentError
from pipeline.store import ALIAS_SCHEMA, Store
from pipeline.unit import RECORD_SCHEMA


@dataclass(frozen=True)
class Fetch:
    """An artifact to be pulled."""

    place: Place
    manifest: Manifest
    published: Published | None
    missing: Mapping[str, Mapping[str, Any]]
    """Files of the manifest that are not here with the right size."""
    beside: Mapping[str, int]
    """Bytes of the records and companions that are not here; 0 where the remote does not say."""

    @property
    def nbytes(self) -> int:
        """Bytes to be moved."""
        documents = len(self.manifest.encoded)
        documents += len(self.published.encode()) if self.published else 0
        files = sum(int(entry["bytes"]) for entry in self.missing.values())
        return files + sum(self.beside.values()) + documents

    @property
    def objects(self) -> int:
        """Files to be moved."""
        return len(self.missing) + len(self.beside) + 1 + (self.published is not None)


@dataclass(frozen=True)
class PullPlan:
    """What a pull would move."""

    fetches: tuple[Fetch, ...]
    aliases: Mapping[Place, Place]
    there: int
    """Artifacts that are sealed here already."""
    absent: tuple[str, ...]
    """Inputs that were asked for and that the remote does not hold."""

    @property
    def nbytes(self) -> int:
        """Bytes to be moved."""
        return sum(f.nbytes for f in self.fetches) + sum(
            map(len, map(_alias, self.aliases.values()))
        )

    @property
    def objects(self) -> int:
        """Files to be moved."""
        return sum(fetch.objects for fetch in self.fetches) + len(self.aliases)


def plan_pull(
    store: Store,
    holdings: Holdings,
    chosen: Iterable[Place],
    *,
    workers: int,
    wants_input: Callable[[Place], bool] | None = None,
) -> PullPlan:
    """Return what a pull of the chosen places would move; nothing is changed.

    Parameters
    ----------
    wants_input
        Tells which of the artifacts that others are made from come along; None: none of them.

    Raises
    ------
    VerificationError
        If a manifest was changed, or says what cannot be.
    """
    absent: list[str] = []
    wanted: dict[Place, Manifest] = {}
    level = list(dict.fromkeys(chosen))
    while level:
        manifests = dict(
            zip(
                level,
                in_parallel(lambda p: _known(store, holdings, p), level, workers),
                strict=True,
            )
        )
        wanted |= manifests
        sources = [
            place
            for manifest in manifests.values()
            for place in inputs_of(manifest)
            if wants_input is not None and wants_input(place)
        ]
        level = []
        for source in dict.fromkeys(sources):
            at = holdings.resolve(source)
            if at is None and not _is_here(store, source):
                absent.append(source.label)
            elif at is not None and at not in wanted and at not in level:
                level.append(at)
    missing = [place for place in wanted if not _is_here(store, place)]
    fetches = in_parallel(lambda place: _fetch(store, holdings, place), missing, workers)
    labels = {place.label for place in wanted}
    aliases = {
        place: target
        for place in holdings.aliased
        if place.label in labels and not _is_here(store, place)
        if (target := holdings.alias(place)) in wanted
    }
    return PullPlan(tuple(fetches), aliases, len(wanted) - len(missing), tuple(absent))


def pull(
    store: Store,
    holdings: Holdings,
    plan: PullPlan,
    *,
    workers: int,
    told: Told = lambda _nbytes, _label: None,
) -> Outcome:
    """Do what a plan says. What is whole is kept whatever else fails.

    Every file is digested on its way into staging and gets its name if it is the promised one;
    the manifest comes last, so that an artifact exists once all of it does.

    Raises
    ------
    StoreError
        If the disk has less space than is promised to come.
    """
    moved = Moved(told)
    with store.writing():
        _require_space(store, plan.nbytes)
        work = [_Pulling(store, holdings, fetch, moved).work() for fetch in plan.fetches]
        outcome = carry_out(work, workers, holdings.remote.patience)
        for place, target in plan.aliases.items():
            if (store.root / target.path / MANIFEST).exists():
                _publish(store, _alias(target), store.root / place.path / ALIAS)
                outcome.objects += 1
                moved.add(len(_alias(target)), place.label)
    outcome.nbytes = moved.nbytes
    return outcome


@dataclass(frozen=True)
class _Pulling:
    """Pulls one artifact."""

    store: Store
    holdings: Holdings
    fetch: Fetch
    moved: Moved

    @property
    def _remote(self) -> Remote:
        return self.holdings.remote

    @property
    def _folder(self) -> Path:
        return self.store.root / self.fetch.place.path

    def work(self) -> Work:
        """Return the steps: one per file, and what makes the artifact exist."""
        files = self.fetch.manifest.files
        steps = [partial(self._file, path, entry) for path, entry in sorted(files.items())]
        return Work(self.fetch.place.label, steps, self._finish)

    def _file(self, path: str, entry: Mapping[str, Any]) -> int:
        """Move a file unless it is here; return how many objects were moved."""
        final = self._folder / path
        if final.exists():
            self._require(final, entry)
            return 0
        below = f"{self.fetch.place.path}/{path}"
        try:
            self._remote.keep_trying(below, lambda: self._attempt(below, final, entry))
        except AbsentError as error:
            message = f"{self._remote.where(below)} is gone: run the same command again"
            raise MissingInputError(message) from error
        return 1

    def _attempt(self, below: str, final: Path, entry: Mapping[str, Any]) -> None:
        remote, disk, size = self._remote, self.store.disk, int(entry["bytes"])
        pieces = remote.pieces(below, size)
        with self.moved.attempt(self.fetch.place.label) as told, self.store.staging() as staging:
            staged = staging / "pulled.part"
            disk.write(staged, Checked(pieces, size, entry["blake3"], remote.patience, told))
            if not disk.publish(staged, final):
                self._require(final, entry)

    def _require(self, final: Path, entry: Mapping[str, Any]) -> None:
        """Refuse a file that lies here already unless it is the promised one."""
        if final.stat().st_size != entry["bytes"] or digest_file(final) != entry["blake3"]:
            message = (
                f"{final}: another build has begun it with other bytes: remove {self._folder} "
                "and run the same command again"
            )
            raise VerificationError(message)

    def _finish(self) -> int:
        """Publish records and companions, then the manifest."""
        moved = 0
        fetch, published = self.fetch, self.fetch.published
        for path in records_of(fetch.manifest):
            moved += self._record(path)
        beside = dict(published.files) if published else {}
        for path, entry in sorted(beside.items()):
            if path not in records_of(fetch.manifest):
                moved += self._file(path, entry)
        if published:
            moved += self._publish(PUBLISHED, published.encode())
        for part in (self._folder, *self._folder.parents):
            if part.is_relative_to(self.store.root):
                self.store.disk.sync_folder(part)
        return moved + self._publish(MANIFEST, fetch.manifest.encoded)

    def _record(self, path: str) -> int:
        if (self._folder / path).exists():
            return 0
        where = self.holdings.where(self.fetch.place, path)
        data = self._remote.read_small(f"{self.fetch.place.path}/{path}")
        if data is None:
            message = f"{where} is gone: run the same command again"
            raise MissingInputError(message)
        record = parse_document(data, where)
        require_schema(record, RECORD_SCHEMA, where)
        shard = self.fetch.manifest.document["shards"][int(Path(path).stem)]
        promised = self.fetch.published.files.get(path) if self.fetch.published else None
        same = (record.get("rows"), record.get("files")) == (shard["rows"], shard["files"])
        if not same or (promised and digest_bytes(data) != promised["blake3"]):
            message = f"{where}: is not the record of this shard"
            raise VerificationError(message)
        return self._publish(path, data)

    def _publish(self, path: str, data: bytes) -> int:
        _publish(self.store, data, self._folder / path)
        self.moved.add(len(data), self.fetch.place.label)
        return 1


def stand_for(store: Store, manifest: Manifest, place: Place) -> None:
    """Let an artifact that is here stand for one of its name that has equal content elsewhere."""
    if not _is_here(store, place):
        data = seal_document({"schema": ALIAS_SCHEMA, "recipe_key": manifest.recipe_key})
        _publish(store, data, store.root / place.path / ALIAS)


def _require_space(store: Store, nbytes: int) -> None:
    free = shutil.disk_usage(store.root).free
    if nbytes > free:
        message = f"{store.root}: has {free} bytes free, and the pull would bring {nbytes}"
        raise StoreError(message)


def _known(store: Store, holdings: Holdings, place: Place) -> Manifest:
    """Return the manifest of an artifact, the local one if it is sealed here."""
    try:
        return Manifest.read(store.root / place.path)
    except FileNotFoundError:
        return holdings.manifest(place)
    except VerificationError as error:
        message = f"{error}: remove {store.root / place.path} and pull it again"
        raise VerificationError(message) from error


def _is_here(store: Store, place: Place) -> bool:
    folder = store.root / place.path
    if (folder / MANIFEST).exists():
        return True
    try:
        target = read_document(folder / ALIAS).get("recipe_key", "")
    except (FileNotFoundError, VerificationError):
        return False
    return (folder.with_name(str(target)) / MANIFEST).exists()


def _fetch(store: Store, holdings: Holdings, place: Place) -> Fetch:
    manifest, published = holdings.manifest(place), holdings.published(place)
    folder = store.root / place.path
    missing = {
        path: entry
        for path, entry in manifest.files.items()
        if not (folder / path).exists() or (folder / path).stat().st_size != entry["bytes"]
    }
    sizes = dict.fromkeys(records_of(manifest), 0)
    sizes |= {path: n for path, n in holdings.files.get(place, {}).items() if path in sizes}
    sizes |= {path: int(e["bytes"]) for path, e in (published.files if published else {}).items()}
    beside = {path: nbytes for path, nbytes in sizes.items() if not (folder / path).exists()}
    return Fetch(place, manifest, published, missing, beside)


def _alias(target: Place) -> bytes:
    return seal_document({"schema": ALIAS_SCHEMA, "recipe_key": target.key})


def _publish(store: Store, data: bytes, final: Path) -> None:
    with store.staging() as staging:
        store.disk.write(staging / "document.part", [data])
        store.disk.publish(staging / "document.part", final)
