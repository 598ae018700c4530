"""Push: from a local store to a remote one, the manifest of each artifact last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.artifact import ALIAS, MANIFEST, Manifest
from pipeline.digest import digest_bytes
from pipeline.documents import parse_document
from pipeline.errors import PipelineError, StoreError, VerificationError
from pipeline.published import PUBLISHED, SUMS, Published, records_of
from pipeline.sharing.holdings import Holdings, in_parallel, require_store_file, write_catalogue
from pipeline.sharing.names import Place
from pipeline.sharing.recipes import path_of_recipe
from pipeline.sharing.remote import Remote
from pipeline.sharing.streams import Checked, file_pieces
from pipeline.sharing.transfer import Moved, Outcome, Told, Work, carry_out
from pipeline.sharing.trouble import RemoteError
from pipeline.store import Store

Companions: TypeAlias = Callable[[Manifest, Mapping[str, str]], Mapping[str, bytes]]
"""Makes further files that lie beside a manifest, from the SHA-256 of every other file."""

_UNKNOWN = "0" * 64


@dataclass(frozen=True)
class Sending:
    """An artifact to be pushed."""

    manifest: Manifest
    licences: tuple[Mapping[str, Any], ...] = ()
    """Of the data that it is made from, as `Published` keeps them."""
    override: Mapping[str, Any] | None = None
    """Why it is pushed against them; None if it is not."""

    @property
    def place(self) -> Place:
        """Where it lies, here and there."""
        return Place.of(self.manifest)

    @property
    def pushed(self) -> Manifest:
        """The manifest as it is pushed: its provenance tells of an override."""
        if self.override is None:
            return self.manifest
        document = self.manifest.document
        told = {**document["provenance"], "licence_override": dict(self.override)}
        return Manifest(self.manifest.folder, {**document, "provenance": told})

    def beside(self, sums: Mapping[str, str], companions: Companions) -> dict[str, bytes]:
        """Return ``SHA256SUMS`` and the companions; `sums` has every file and record."""
        found = dict(companions(self.pushed, sums))
        all_sums = {**sums, **{path: _sha256(data) for path, data in found.items()}}
        lines = [f"{digest}  {path}\n" for path, digest in sorted(all_sums.items())]
        return found | {SUMS: "".join(lines).encode()}

    def published(self, records: Mapping[str, bytes], beside: Mapping[str, bytes]) -> Published:
        """Return what ``published.json`` will say."""
        files = {
            path: {"bytes": len(data), "blake3": digest_bytes(data)}
            for path, data in {**records, **beside}.items()
        }
        return Published(self.pushed.identity, files, self.licences, self.override)


@dataclass(frozen=True)
class PushPlan:
    """What a push would move."""

    sendings: tuple[Sending, ...]
    aliases: Mapping[Place, bytes]
    there: int
    """Artifacts that are sealed at the remote already."""
    differing: tuple[str, ...]
    """Those of them that another build sealed there with other content."""
    nbytes: int
    objects: int
    recipes: Mapping[str, bytes] = field(default_factory=dict)
    """Recipes by their path, of what is not pushed itself."""


def plan_push(
    store: Store,
    holdings: Holdings,
    chosen: Iterable[Sending],
    *,
    workers: int,
    companions: Companions = lambda _manifest, _sums: {},
    recipes: Iterable[Manifest] = (),
) -> PushPlan:
    """Return what a push of the chosen artifacts, and of recipes, would move; nothing is changed.

    A file that is there with the right size is counted as moved already.
    """
    every = list(chosen)
    there = {one.place for one in every if MANIFEST in holdings.files.get(one.place, {})}
    sendings = [one for one in every if one.place not in there]
    kept = [one for one in every if one.place in there]
    labels = {one.place for one in every}
    aliases = {
        place: data
        for place, target, data in _aliases(store, labels)
        if target in labels and not {ALIAS, MANIFEST} & holdings.files.get(place, {}).keys()
    }
    nbytes, objects = sum(map(len, aliases.values())), len(aliases)
    for one in sendings:
        counts = _missing(one, holdings.files.get(one.place, {}), companions)
        nbytes, objects = nbytes + sum(counts), objects + len(counts)
    texts = {
        path_of_recipe(place): one.encoded
        for one in recipes
        if (place := Place.of(one)) not in holdings.recipes
        and MANIFEST not in holdings.files.get(place, {})
    }
    nbytes, objects = nbytes + sum(map(len, texts.values())), objects + len(texts)
    differing = in_parallel(lambda one: _differs(one, holdings), kept, workers)
    return PushPlan(
        tuple(sendings),
        aliases,
        len(there),
        tuple(one.manifest.label for one, other in zip(kept, differing, strict=True) if other),
        nbytes,
        objects,
        texts,
    )


def push(
    store: Store,
    holdings: Holdings,
    plan: PushPlan,
    *,
    workers: int,
    told: Told = lambda _nbytes, _label: None,
    companions: Companions = lambda _manifest, _sums: {},
) -> Outcome:
    """Do what a plan says, then write the catalogue from what is there.

    Every file is compared with its digest while it is sent: what is damaged here never becomes an
    object there. Whatever fails, the artifacts that are whole stay.
    """
    remote, moved = holdings.remote, Moved(told)
    with remote.session():
        if plan.objects:
            require_store_file(remote)
        work = [
            _Pushing(store.root / one.place.path, holdings, one, moved, companions).work()
            for one in plan.sendings
        ]
        outcome = carry_out(work, workers, remote.patience)
        documents = {f"{place.path}/{ALIAS}": data for place, data in plan.aliases.items()}
        for path, data in (documents | dict(plan.recipes)).items():
            remote.keep(path, data)
            outcome.objects += 1
            moved.add(len(data), path)
        write_catalogue(remote)
    outcome.nbytes = moved.nbytes
    return outcome


@dataclass
class _Pushing:
    """Pushes one artifact."""

    folder: Path
    holdings: Holdings
    sending: Sending
    moved: Moved
    companions: Companions
    sums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every file by its path."""

    @property
    def _remote(self) -> Remote:
        return self.holdings.remote

    def work(self) -> Work:
        """Return the steps: one per file, and what makes the artifact exist."""
        files = sorted(self.sending.manifest.files.items())
        steps = [partial(self._file, path, entry) for path, entry in files]
        return Work(self.sending.place.label, steps, self._finish)

    def _file(self, path: str, entry: Mapping[str, Any]) -> int:
        """Send a file unless it is there; return how many objects were moved."""
        digest, size = str(entry["blake3"]), int(entry["bytes"])
        if self._is_there(path, digest):
            for _ in self._local(path, size, digest, lambda _: None):
                pass
            return 0

        def attempt() -> None:
            with self.moved.attempt(self.sending.place.label) as told:
                pieces = self._local(path, size, digest, told)
                self._remote.send(self._path(path), pieces, size, digest)

        self._remote.keep_trying(self._path(path), attempt)
        return 1

    def _local(
        self, path: str, size: int, digest: str, told: Callable[[int], None]
    ) -> Iterator[bytes]:
        """Yield a local file, keeping its SHA-256; damage is an error that names it."""
        final = self.folder / path
        patience = self._remote.patience
        pieces = Checked(file_pieces(final), size, digest, patience, told, sha256=True)
        try:
            yield from pieces
        except RemoteError as error:
            message = f"{final}: {error}: it is damaged here: run `pipeline verify`"
            raise VerificationError(message) from error
        self.sums[path] = pieces.sha256

    def _finish(self) -> int:
        """Send records, companions and what is told of them, then the manifest."""
        moved = 0
        records: dict[str, bytes] = {}
        for path in records_of(self.sending.manifest):
            records[path] = data = _read(self.folder / path)
            self.sums[path] = _sha256(data)
            if not self._is_there(path, digest_bytes(data)):
                moved += self._put(path, data)
        if _read(self.folder / MANIFEST) != self.sending.manifest.encoded:
            message = f"{self.folder / MANIFEST}: changed meanwhile: run `pipeline verify`"
            raise VerificationError(message)
        manifest = self.sending.pushed.encoded
        self.sums[MANIFEST] = _sha256(manifest)
        beside = self.sending.beside(self.sums, self.companions)
        published = self.sending.published(records, beside)
        for path, data in {**beside, PUBLISHED: published.encode()}.items():
            moved += self._replace(path, data)
        return moved + self._put(MANIFEST, manifest)

    def _is_there(self, path: str, digest: str) -> bool:
        """Tell whether the remote has a file of this digest.

        Raises
        ------
        VerificationError
            If it has one of another, which another build has begun.
        """
        if path not in self.holdings.files.get(self.sending.place, {}):
            return False
        below = self._path(path)
        found = self._remote.keep_trying(below, lambda: self._remote.recorded_digest(below))
        if found is not None and found != digest:
            message = (
                f"{self._remote.where(below)}: another build has begun it with other bytes: remove "
                f"{self.sending.place.path} there and run the same command again"
            )
            raise VerificationError(message)
        return found is not None

    def _put(self, path: str, data: bytes) -> int:
        below, digest = self._path(path), digest_bytes(data)
        self._remote.keep_trying(below, lambda: self._remote.send(below, [data], len(data), digest))
        self.moved.add(len(data), self.sending.place.label)
        return 1

    def _replace(self, path: str, data: bytes) -> int:
        self._remote.keep(self._path(path), data)
        self.moved.add(len(data), self.sending.place.label)
        return 1

    def _path(self, path: str) -> str:
        return f"{self.sending.place.path}/{path}"


def _missing(one: Sending, there: Mapping[str, int], companions: Companions) -> list[int]:
    """Return the bytes of every object that would be moved."""
    manifest = one.manifest
    records = {path: _read(manifest.folder / path) for path in records_of(manifest)}
    sizes = {path: int(entry["bytes"]) for path, entry in manifest.files.items()}
    sizes |= {path: len(data) for path, data in records.items()}
    found = [size for path, size in sizes.items() if there.get(path) != size]
    # Digests are all of one length, so that sizes are known without them.
    beside = one.beside(dict.fromkeys([*sizes, MANIFEST], _UNKNOWN), companions)
    found += map(len, beside.values())
    published = len(one.published(records, beside).encode())
    return [*found, published, len(one.pushed.encoded)]


def _differs(one: Sending, holdings: Holdings) -> bool:
    """Tell whether what is sealed there has other content, as far as its size gives it away."""
    size = len(one.manifest.encoded)
    if holdings.files[one.place][MANIFEST] == size:
        return False
    return holdings.manifest(one.place).content_digest != one.manifest.content_digest


def _aliases(store: Store, labels: Iterable[Place]) -> Iterator[tuple[Place, Place, bytes]]:
    """Yield the aliases of these artifacts: their places, what they stand for and their bytes."""
    for label in sorted({(place.stage, place.name) for place in labels}):
        for folder in sorted((store.root / label[0] / label[1]).iterdir()):
            path = folder / ALIAS
            if not path.is_file() or (folder / MANIFEST).exists():
                continue
            try:
                data = path.read_bytes()
                key = str(parse_document(data, path)["recipe_key"])
            except (PipelineError, OSError, KeyError):
                continue  # `verify` tells of it
            yield Place(*label, folder.name), Place(*label, key), data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}: run `pipeline verify`"
        raise StoreError(message) from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
