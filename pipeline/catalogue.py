"""The manifests that are shipped, and a user's own beside them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ManifestError, UsageError
from pipeline.manifest import Declared, Schema, read_manifest

D = TypeVar("D", bound=Declared)


class Catalogue:
    """Reads all manifests of one kind from ``<folder>/<kind>/*.toml`` of several folders."""

    def __init__(self, own: Path | None = None) -> None:
        if own is not None and not own.is_dir():
            message = f"{own}: not a folder of manifests"
            raise UsageError(message)
        with resources.as_file(resources.files("manifests")) as shipped:
            self._folders = [shipped, *([own] if own else [])]

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


def by_id(found: list[tuple[Path, str, D]]) -> dict[str, D]:
    """Return declared values by id; an id declared twice is an error that names both files."""
    values: dict[str, D] = {}
    paths: dict[str, Path] = {}
    faults = []
    for path, name, value in found:
        if name in values:
            faults.append(f"{path}: id: {name!r} is declared by {paths[name]} already")
        values[name], paths[name] = value, path
    if faults:
        raise ManifestError("\n".join(faults))
    return values
