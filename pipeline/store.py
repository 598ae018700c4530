"""A store: sealed artifacts by recipe key, in folders that a person can read."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.artifact import ALIAS, MANIFEST, RECORDS, Artifact, Manifest, require_schema
from pipeline.disk import Disk, remove_tree, reported
from pipeline.documents import Document, read_document, seal_document
from pipeline.errors import HeldError, MissingInputError, StoreError, UsageError, VerificationError
from pipeline.locks import Lease, Leases
from pipeline.pins import encode_pins, read_pins
from pipeline.recipe import Recipe

SCHEMA = "medshards/store/1"
ALIAS_SCHEMA = "medshards/alias/1"
VERIFICATION_SCHEMA = "medshards/verification/1"
STORE_FILE = "store.json"
SOURCES_FILE = "sources.toml"
VERIFICATION_FILE = "verification.json"
STAGING = "staging"
LEASES = "leases"
DOWNLOADS = "downloads"
OWNER = ".owner"
"""Ending of the lease of a writer's staging folder; a unit's ends with ".lock"."""

_PAUSES = (0.002, 0.1)
"""Shortest and longest time, in seconds, between two looks at a lease that is waited for."""


class Store:
    """A folder of artifacts.

    Reading never creates or changes anything; the folder need not exist until the first write.
    """

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.disk = disk or Disk()
        self._sealed: dict[str, Manifest] = {}
        self._session: Path | None = None
        self._owned: Lease | None = None
        self._path = os.fspath(root)
        self._leases = Leases()
        self._damaged: dict[str, list[str]] | None = None

    @classmethod
    def open(cls, root: Path) -> Store:
        """Return the store at `root`.

        Raises
        ------
        StoreError
            If a newer version of this program wrote it.
        VerificationError
            If its own file was changed.
        UsageError
            If `root` is a file.
        """
        if root.exists() and not root.is_dir():
            message = f"{root}: a store is a folder, and this is a file"
            raise UsageError(message)
        store = cls(root)
        store.check_schema()
        return store

    def check_schema(self) -> None:
        """Refuse a store whose own file is of another schema or was changed."""
        path = self.root / STORE_FILE
        if path.exists():
            require_schema(read_document(path), SCHEMA, path)

    @contextlib.contextmanager
    def writing(self, *, sweep: bool = True) -> Iterator[None]:
        """Make the store exist and keep a staging folder in it for as long as writing lasts.

        What killed writers left in staging is swept first, unless `sweep` is false.
        """
        self.disk.make_folder(self.root / STAGING)
        self.disk.make_folder(self.root / LEASES)
        session = self.root / STAGING / f"{os.getpid()}-{os.urandom(6).hex()}"
        began = time.monotonic()
        try:  # from the first lease on: an interruption may come at any moment
            with reported(self.root):
                with self._exclusively("prepare"):
                    if sweep:
                        self._sweep()
                    self._owned = self._leases.take(self._owner(session))
                self.disk.make_folder(session)
            self._session = session
            if not (self.root / STORE_FILE).exists():
                self._replace(self.root / STORE_FILE, {"schema": SCHEMA})
            yield
        finally:
            self._session = None
            if sweep and time.monotonic() - began > self._leases.silence:
                self._sweep()  # by now it is known which writers elsewhere are silent
            if self._owned is not None:
                remove_tree(session)
                self._owned.release()
                self._owned = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[Path]:
        """Write as the only one, yielding a folder in staging; nobody can begin meanwhile.

        Raises
        ------
        HeldError
            If another process writes to the store.
        """
        with self.writing():
            session = self._session
            with self._exclusively("prepare"):
                owners = set((self.root / LEASES).glob(f"*{OWNER}"))
                if session is None or self._leases.settled(owners - {self._owner(session)}):
                    message = f"{self.root} is being written by another process: wait for its end"
                    raise HeldError(message)
                yield session

    @property
    def witness(self) -> Path:
        """A file of the store that is there for as long as this process writes."""
        if self._session is None:
            message = "a store is written inside `with store.writing()`"
            raise RuntimeError(message)
        return self._owner(self._session)

    def folder(self, recipe: Recipe) -> Path:
        """Return where the artifact of a recipe lies: ``<stage>/<name>/<recipe key>``."""
        return self.root / f"{recipe.label}/{recipe.key}"

    def is_begun(self, recipe: Recipe) -> bool:
        """Tell whether there is anything of a recipe's artifact; made to be asked often."""
        return os.path.isdir(f"{self._path}/{recipe.label}/{recipe.key}")  # noqa: PTH112

    def has_name(self, recipe: Recipe) -> bool:
        """Tell whether any artifact of a recipe's name was ever begun."""
        return os.path.isdir(f"{self._path}/{recipe.label}")  # noqa: PTH112

    def sealed(self, recipe: Recipe, *, keep: bool = True) -> Manifest | None:
        """Return the manifest of a recipe's artifact, or None where it is not sealed.

        It is read once, unless it is not to be kept: of many they take much memory.
        """
        if recipe.key in self._sealed:
            return self._sealed[recipe.key]
        manifest = _manifest_of(self.folder(recipe))
        if manifest is not None and keep:
            self._sealed[recipe.key] = manifest
        return manifest

    def artifact(self, recipe: Recipe) -> Artifact:
        """Return the reader of a recipe's artifact.

        Raises
        ------
        MissingInputError
            If it is not sealed.
        VerificationError
            If the last `verify` found it damaged.
        """
        manifest = self.sealed(recipe)
        if manifest is None:
            message = f"{recipe.label} is not built yet"
            raise MissingInputError(message)
        self.require_undamaged(manifest)
        return Artifact(manifest)

    def input_of(self, manifest: Manifest, role: str) -> Artifact:
        """Return the reader of an artifact that another was made from.

        Raises
        ------
        MissingInputError
            If this store no longer holds it with the content that it had.
        VerificationError
            If the last `verify` found it damaged.
        """
        source = manifest.document["inputs"][role]
        label = f"{source['stage']}/{source['name']}"
        found = _manifest_of(self.root / label / source["recipe_key"])
        if found is None or found.content_digest != source["content_digest"]:
            message = f"{label}, from which {manifest.label} was made, is not in this store"
            raise MissingInputError(message)
        self.require_undamaged(found)
        return Artifact(found)

    def adopt_equivalent(self, recipe: Recipe) -> Manifest | None:
        """Seal `recipe` by an alias of an artifact with equal content key, if there is one.

        So a raised version upstream that changed no bytes rebuilds nothing downstream.
        """
        inputs = {role: self.sealed(source) for role, source in recipe.inputs.items()}
        digests = {role: found.content_digest for role, found in inputs.items() if found}
        if not recipe.inputs or len(digests) < len(inputs):
            return None
        content_key = recipe.content_key(digests)
        folder = self.folder(recipe)
        for manifest in self.manifests_below(folder.parent):
            if manifest.content_key != content_key or manifest.identity in self.damaged():
                continue
            if manifest.recipe_key != recipe.key:
                alias = {"schema": ALIAS_SCHEMA, "recipe_key": manifest.recipe_key}
                self.disk.make_folder(folder)
                self._replace(folder / ALIAS, alias)
                return self.sealed(recipe)
        return None

    def records(self, recipe: Recipe) -> set[int]:
        """Return the numbers of the shards of a recipe that are published."""
        folder = self.folder(recipe) / RECORDS
        if not folder.is_dir():
            return set()
        return {int(path.stem) for path in folder.glob("*.json")}

    def manifests(self) -> Iterator[Manifest]:
        """Yield the manifest of every sealed artifact, ordered by stage and name."""
        return self.manifests_below(self.root)

    def unsealed(self) -> Iterator[tuple[str, str, str]]:
        """Yield (stage, name, recipe key) of artifacts that are begun and not sealed."""
        for folder in self.artifact_folders():
            if not (folder / MANIFEST).exists() and not (folder / ALIAS).exists():
                stage, *parts, key = folder.relative_to(self.root).parts
                yield stage, "/".join(parts), key

    @contextlib.contextmanager
    def lease(self, recipe: Recipe, shard: int) -> Iterator[None]:
        """Hold one unit of work, so that others need not do it too.

        Correctness never depends on it: two holders would only do the same work twice.

        Raises
        ------
        HeldError
            If another process holds the unit.
        """
        path = self.root / LEASES / f"{recipe.key}-{shard}.lock"
        with reported(path):
            lease = self._leases.take(path)
        if lease is None:
            message = f"{recipe.label} shard {shard} is being built by another process"
            raise HeldError(message)
        try:
            yield
        finally:
            lease.release()

    @contextlib.contextmanager
    def _exclusively(self, name: str) -> Iterator[None]:
        """Hold a lease of a name in this store, waiting for it."""
        path = self.root / LEASES / f"{name}.lock"
        pause, longest = _PAUSES
        with reported(path):
            while (lease := self._leases.take(path)) is None:
                time.sleep(pause)
                pause = min(2 * pause, longest)
        try:
            yield
        finally:
            lease.release()

    def _owner(self, session: Path) -> Path:
        """Return the lease of a writer's staging folder."""
        return self.root / LEASES / f"{session.name}{OWNER}"

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a fresh folder to stage files in; it is gone afterwards."""
        if self._session is None:
            message = "a store is written inside `with store.writing()`"
            raise RuntimeError(message)
        folder = self._session / os.urandom(6).hex()
        try:
            self.disk.make_folder(folder)
            yield folder
        finally:
            remove_tree(folder)

    def return_to_life(self) -> None:
        """Own a staging folder again after others have taken this writer for dead.

        A process that was stopped for longer than leases last finds that its folder is gone.
        """
        if self._session is not None:
            lease = self._leases.take(self._owner(self._session))
            self._owned = lease or self._owned
            self.disk.make_folder(self._session)

    def sweep(self) -> None:
        """Remove what killed writers left in staging, if the store can be written."""
        if self.orphans():
            with contextlib.suppress(StoreError), self.writing():
                pass

    def _sweep(self) -> None:
        """Remove what killed writers left; what belongs to others and cannot be stays."""
        for path in self.orphans():
            with contextlib.suppress(OSError):
                remove_tree(path)
        for path in (self.root / LEASES).iterdir():
            with contextlib.suppress(OSError):
                self._leases.clear(path)

    def is_being_written(self) -> bool:
        """Tell whether any process keeps a staging folder here now."""
        found = (self.root / LEASES).glob(f"*{OWNER}")
        return any(self._leases.is_live(path) for path in found)

    def orphans(self) -> list[Path]:
        """Return what lies in staging and has no living owner."""
        folder = self.root / STAGING
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        # A writer that ends meanwhile takes its folder away before it gives up its lease.
        return [p for p in found if not self._leases.is_live(self._owner(p)) and p.exists()]

    def pins(self) -> dict[str, dict[str, str]]:
        """Return the digests pinned at a first use: ``{table: {name: digest}}``.

        Raises
        ------
        VerificationError
            If the file was changed by other means than this program.
        """
        return read_pins(self.root / SOURCES_FILE)

    def pin(self, table: str, name: str, digest: str) -> None:
        """Remember a digest that nobody publishes, from its first use on."""
        self.disk.make_folder(self.root / LEASES)
        with self._exclusively("sources"):
            pins = self.pins()
            if pins.get(table, {}).get(name) != digest:
                pins.setdefault(table, {})[name] = digest
                self._replace(self.root / SOURCES_FILE, encode_pins(pins))

    def damaged(self) -> dict[str, list[str]]:
        """Return what the last `verify` found: ``{manifest identity: problem kinds}``."""
        if self._damaged is None:
            path = self.root / VERIFICATION_FILE
            document: dict[str, Any] = {"schema": VERIFICATION_SCHEMA, "damaged": {}}
            if path.exists():
                try:
                    document = read_document(path)
                except VerificationError as error:
                    message = f"{error}; `pipeline verify` on the whole store writes it anew"
                    raise VerificationError(message) from error
                require_schema(document, VERIFICATION_SCHEMA, path)
            self._damaged = dict(document["damaged"])
        return self._damaged

    def record_damaged(self, damaged: dict[str, list[str]]) -> None:
        """Remember what `verify` found, in place of what it found before."""
        document: Document = {"schema": VERIFICATION_SCHEMA, "damaged": damaged}
        self._replace(self.root / VERIFICATION_FILE, document)
        self._damaged = damaged

    def _replace(self, path: Path, content: Document | bytes) -> None:
        """Replace a small mutable file; a kill leaves nothing but what the next sweep takes."""
        data = content if isinstance(content, bytes) else seal_document(content)
        session = self.writing(sweep=False) if self._session is None else contextlib.nullcontext()
        with session, self.staging() as staging:
            self.disk.replace(staging / path.name, path, data)

    def require_undamaged(self, manifest: Manifest) -> None:
        """Refuse an artifact that the last `verify` found damaged."""
        if manifest.identity in self.damaged():
            message = (
                f"{manifest.label} is damaged (last `pipeline verify`): "
                f"remove {manifest.folder} and build it again"
            )
            raise VerificationError(message)

    def manifests_below(self, folder: Path) -> Iterator[Manifest]:
        """Yield the manifests of the sealed artifacts in a folder of the store.

        A manifest that was changed makes no artifact exist; `status` and `verify` tell of it.
        """
        for artifact in self.artifact_folders(folder):
            with contextlib.suppress(FileNotFoundError, VerificationError):
                yield Manifest.read(artifact, exact=False)

    def artifact_folders(self, below: Path | None = None) -> Iterator[Path]:
        """Yield the folder of every artifact, sealed or begun, ordered by stage and name."""
        folder = below or self.root
        for path in _subfolders(folder):
            if folder == self.root and path.name in {STAGING, LEASES, DOWNLOADS}:
                continue
            if is_recipe_key(path.name):
                yield path
            else:
                yield from self.artifact_folders(path)


def is_recipe_key(name: str) -> bool:
    """Tell whether a folder name is a recipe key (64 hexadecimal digits)."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def _manifest_of(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, or the one that an alias there leads to."""
    try:
        return Manifest.read(folder, exact=False)
    except FileNotFoundError:
        pass
    except VerificationError as error:
        message = f"{error}: remove {folder} and build it again"
        raise VerificationError(message) from error
    # The artifact that an alias stands for may be gone: then its own is built.
    with contextlib.suppress(FileNotFoundError):
        alias = read_document(folder / ALIAS)
        require_schema(alias, ALIAS_SCHEMA, folder / ALIAS)
        return Manifest.read(folder.with_name(alias["recipe_key"]), exact=False)
    return None


def _subfolders(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
    for name in names:
        yield folder / name
