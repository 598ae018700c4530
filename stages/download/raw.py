"""Raw files as sealed artifacts: fetched and unpacked, or inventoried where a user has them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact
from pipeline.digest import Json, digest_file, digest_json
from pipeline.errors import DataError
from pipeline.recipe import Recipe
from pipeline.store import DOWNLOADS, Store
from pipeline.unit import Node, Unit, UnitWriter
from stages.download.folders import AnyDataset, absent, folder_of
from stages.download.inventory import InventoryEntry, inventory
from stages.download.sources import FileSource, UrlSource, ZenodoSource
from stages.vocabulary import SOURCES

if TYPE_CHECKING:
    import pyarrow as pa

    from stages.download.transfer import Progress
    from stages.download.unpack import Choice

FETCH_VERSION = 1
ONE_FILE = "file"
"""Form of a source file that is kept as it is, not unpacked."""


class Fetch:
    """Brings one source file into the store, verified and unpacked."""

    parallel = True

    def __init__(
        self,
        store: Store,
        source: FileSource,
        members: Choice | None,
        local: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._members = members
        self._local = local
        self._progress = progress

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Fetch the file, pin its digest if nobody publishes one, unpack it into `writer`."""
        from stages.download.fetch import fetch
        from stages.download.unpack import unpack

        del inputs
        name = unit.recipe.name
        source = self._source
        pin = self._store.pins().get("files", {}).get(name)
        if pin and not source.blake3:
            source = source.model_copy(update={"blake3": pin})
        folder = self._store.root / DOWNLOADS / name
        fetched = fetch(source, folder, local=self._local, progress=self._progress)
        try:
            if unit.recipe.parameters["form"] == ONE_FILE:
                files: Sequence[Path] = (_kept(fetched.path, writer.file_folder),)
            else:
                files = unpack(fetched.path, writer.file_folder, self._members)
        except DataError:
            if fetched.origin != str(fetched.path):
                fetched.path.unlink()  # our copy; what a person has placed is left to them
            raise
        if not self._source.digests():
            self._store.pin("files", name, fetched.digests.blake3)
        writer.table(_listing(files, writer.file_folder))
        writer.attributes["origin"] = fetched.origin
        fetched.path.unlink()


class Inventory:
    """Lists a user's folder, so that all that is made from it keys on what it holds."""

    parallel = True

    def __init__(self, store: Store, entries: Sequence[InventoryEntry]) -> None:
        self._store = store
        self._entries = entries

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write path, size and digest of every file, and remember the folder as it was seen."""
        del inputs
        parameters = unit.recipe.parameters
        self._store.pin("folders", str(parameters["dataset"]), str(parameters["inventory"]))
        writer.table(_listing_table(self._entries))


def file_node(
    store: Store,
    source: FileSource,
    form: str,
    *,
    members: Callable[[Sequence[str]], Sequence[str]] | None = None,
    name: str = "",
    local: Path | None = None,
    progress: Progress | None = None,
) -> Node:
    """Return the artifact of a source file.

    Its key holds the digest its manifest declares, or its immutable identity (record and name, or
    addresses) where nobody publishes one.

    Parameters
    ----------
    form
        What decides which members of the archive are kept, or `ONE_FILE`: it is not unpacked.
    members
        Chooses the files of an archive to unpack; default: all.
    name
        Place in the store and name of its pin; default: by its origin and file name.
    """
    parameters = {**_identity(source), "form": form}
    recipe = Recipe(SOURCES, name or _source_name(source), FETCH_VERSION, parameters)
    stage = Fetch(store, source, members, local, progress)
    return Node(recipe, stage, rows=1, row_bytes=source.size_bytes or 0, slots=1)


def folder_node(store: Store, dataset: AnyDataset) -> Node:
    """Return the inventory of a dataset's folder as it is now, or as last seen if it is gone.

    Raises
    ------
    MissingInputError
        When there is no folder and never was.
    """
    folder = folder_of(store, dataset) or Path()
    if not folder.is_dir() and not store.pins().get("folders", {}).get(dataset.family):
        raise absent(dataset, folder)
    return inventory_node(store, dataset.family, folder)


def inventory_node(store: Store, name: str, folder: Path) -> Node:
    """Return the inventory of a folder that is there, or was when it was last seen."""
    if folder.is_dir():
        entries = inventory(folder)
        digest = digest_json([list(entry) for entry in entries])
    else:
        entries = []
        digest = store.pins().get("folders", {}).get(name, "")
    parameters: dict[str, Json] = {"dataset": name, "inventory": digest}
    recipe = Recipe(SOURCES, f"folder/{name}", FETCH_VERSION, parameters)
    return Node(recipe, Inventory(store, entries), rows=1, row_bytes=0, slots=1)


def _kept(file: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    return Path(shutil.copyfile(file, folder / file.name))


def _source_name(source: FileSource) -> str:
    origin = f"zenodo-{source.record}" if isinstance(source, ZenodoSource) else source.kind
    return f"{origin}/{source.file}"


def _identity(source: FileSource) -> dict[str, Json]:
    identity: dict[str, Json] = {"file": source.file, "digests": dict(source.digests())}
    if isinstance(source, ZenodoSource):
        identity["record"] = source.record
    if isinstance(source, UrlSource) and not source.digests():
        identity["urls"] = list(source.urls)
    return identity


def _listing(paths: Sequence[Path], root: Path) -> pa.Table:
    files = sorted(path.relative_to(root).as_posix() for path in paths)
    return _listing_table(
        [
            InventoryEntry(file, (root / file).stat().st_size, digest_file(root / file))
            for file in files
        ]
    )


def _listing_table(entries: Sequence[InventoryEntry]) -> pa.Table:
    import pyarrow as pa

    from pipeline.tables import column

    schema = pa.schema(
        [
            column("path", pa.string(), "", "path of the file below its folder"),
            column("bytes", pa.int64(), "byte", "length of the file"),
            column("blake3", pa.string(), "", "blake3 of the file"),
        ]
    )
    values = [[entry[position] for entry in entries] for position in range(3)]
    return pa.table(values, schema=schema)
