"""The manifests that are shipped, and a user's own beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pipeline.errors import ManifestError, UsageError
from pipeline.manifest import Declared, Schema, read_manifest, require_known

D = TypeVar("D", bound=Declared)
N = TypeVar("N", bound="Identified")

SHIPPED = Path(str(resources.files("manifests")))
"""Folder of the shipped manifests."""


class Identified(Protocol):
    """What has an id."""

    @property
    def id(self) -> str:
        """Its name among others of its kind."""


class Shipped(Mapping[str, D], Generic[D]):
    """The shipped manifests of one kind by id, each read when it is first asked for.

    An unknown id is a `UsageError` that suggests the nearest.
    """

    def __init__(self, kind: str, schema: Schema[D], word: str) -> None:
        self._paths = {path.stem: path for path in sorted((SHIPPED / kind).glob("*.toml"))}
        self._schema = schema
        self._word = word
        self._read: dict[str, D] = {}

    def __getitem__(self, name: str) -> D:
        if name not in self._read:
            require_known(self._word, name, self._paths)
            self._read[name] = read_manifest(self._paths[name], self._schema)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class Catalogue:
    """Reads all manifests of one kind from ``<folder>/<kind>/*.toml`` of several folders."""

    def __init__(self, own: Path | None = None) -> None:
        if own is not None and not own.is_dir():
            message = f"{own}: not a folder of manifests"
            raise UsageError(message)
        self._folders = [SHIPPED, *([own] if own else [])]

    def read(self, kind: str, schema: Schema[D]) -> dict[Path, D]:
        """Return every manifest of a kind by path.

        Raises
        ------
        ManifestError
            With every fault of every file at once.
        """
        found: dict[Path, D] = {}
        faults = []
        for folder in self._folders:
            for path in sorted((folder / kind).glob("*.toml")):
                try:
                    found[path] = read_manifest(path, schema)
                except ManifestError as error:
                    faults.append(str(error))
        if faults:
            raise ManifestError("\n".join(faults))
        return found


def by_id(found: Iterable[tuple[Path, N]]) -> dict[str, N]:
    """Return declared values by id; an id declared twice is an error that names both files."""
    values: dict[str, N] = {}
    paths: dict[str, Path] = {}
    faults = []
    for path, value in found:
        if value.id in values:
            faults.append(f"{path}: id: {value.id!r} is declared by {paths[value.id]} already")
        values[value.id], paths[value.id] = value, path
    if faults:
        raise ManifestError("\n".join(faults))
    return values
