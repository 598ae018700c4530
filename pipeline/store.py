"""A store: sealed artifacts by recipe key, in folders that a person can read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.artifact import ALIAS, MANIFEST, RECORDS, Artifact, Manifest, require_schema
from pipeline.disk import Disk
from pipeline.documents import Document, read_document, seal_document
from pipeline.errors import MissingInputError, UsageError, VerificationError
from pipeline.pins import encode_pins, read_pins
from pipeline.recipe import Recipe
from pipeline.sessions import LEASES, OWNER, STAGING, Sessions

SCHEMA = "medshards/store/1"
ALIAS_SCHEMA = "medshards/alias/1"
VERIFICATION_SCHEMA = "medshards/verification/1"
STORE_FILE = "store.json"
SOURCES_FILE = "sources.toml"
VERIFICATION_FILE = "verification.json"
DOWNLOADS = "downloads"

__all__ = [
    "ALIAS_SCHEMA",
    "DOWNLOADS",
    "LEASES",
    "OWNER",
    "SCHEMA",
    "SOURCES_FILE",
    "STAGING",
    "STORE_FILE",
    "VERIFICATION_FILE",
    "VERIFICATION_SCHEMA",
    "Store",
    "is_recipe_key",
]


class Store(Sessions):
    """A folder of artifacts.

    Reading never creates or changes anything; the folder need not exist until the first write.
    """

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        super().__init__(root, disk)
        self._sealed: dict[str, Manifest] = {}
        self._path = os.fspath(root)
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

    def _entered(self) -> None:
        if not (self.root / STORE_FILE).exists():
            self._replace(self.root / STORE_FILE, {"schema": SCHEMA})

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

    def first_parts(self, below: str) -> list[str]:
        """Return the next part of the names of all artifacts below ``<stage>/...``, in order."""
        folder = self.root / below
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def unsealed(self) -> Iterator[tuple[str, str, str]]:
        """Yield (stage, name, recipe key) of artifacts that are begun and not sealed."""
        for folder in self.artifact_folders():
            if not (folder / MANIFEST).exists() and not (folder / ALIAS).exists():
                stage, *parts, key = folder.relative_to(self.root).parts
                yield stage, "/".join(parts), key

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
