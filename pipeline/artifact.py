"""A sealed artifact: its manifest, and readers of what it holds."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.digest import Json, digest_json
from pipeline.documents import Document, read_document, seal_document
from pipeline.errors import StoreError, UsageError, VerificationError
from pipeline.mixed import MixedArray, Shapes, shape_columns, shapes_of
from pipeline.schemas import ARTIFACT, is_readable
from pipeline.shards import ItemSpec, ShardedArray
from pipeline.soundness import fault_of_manifest

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = ARTIFACT
MANIFEST = "manifest.json"
ALIAS = "alias.json"
RECORDS = "records"
INDEX = "index"
FILES = "files"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a sealed artifact is: read from ``manifest.json``, whose presence makes it exist."""

    folder: Path
    document: Document

    @classmethod
    def read(cls, folder: Path, *, exact: bool = True) -> Manifest:
        """Return the manifest of the artifact in `folder`; see `parse_document` for `exact`.

        Raises
        ------
        FileNotFoundError
            If the artifact is not sealed.
        VerificationError
            If the file was changed, or says what cannot be.
        StoreError
            If a newer version of this program wrote it.
        """
        path = folder / MANIFEST
        return cls.checked(folder, read_document(path, exact=exact), path)

    @classmethod
    def checked(cls, folder: Path, document: Document, origin: Path | str) -> Manifest:
        """Return the manifest that `document`, read from `origin`, is; raises as `read` does."""
        require_schema(document, SCHEMA, origin)
        if fault := fault_of_manifest(document):
            message = f"{origin}: refused: {fault}"
            raise VerificationError(message)
        return cls(folder, document)

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return str(self.document["stage"])

    @property
    def name(self) -> str:
        """Readable name below the stage."""
        return str(self.document["name"])

    @property
    def label(self) -> str:
        """``<stage>/<name>``."""
        return f"{self.stage}/{self.name}"

    @property
    def recipe_key(self) -> str:
        """Key of the recipe it was built from."""
        return str(self.document["recipe_key"])

    @property
    def content_key(self) -> str:
        """Key of stage, version, parameters and input contents."""
        return str(self.document["content_key"])

    @property
    def content_digest(self) -> str:
        """Digest of the logical content."""
        return str(self.document["content_digest"])

    @property
    def rows(self) -> int:
        """Number of rows of the index."""
        return int(self.document["rows"])

    @property
    def nbytes(self) -> int:
        """Bytes of all its files but the manifest."""
        return sum(int(entry["bytes"]) for entry in self.files.values())

    @property
    def summary(self) -> dict[str, Any]:
        """What `pipeline list` says of it."""
        return {
            "stage": self.stage,
            "name": self.name,
            "rows": self.rows,
            "bytes": self.nbytes,
            "recipe_key": self.recipe_key,
            "content_digest": self.content_digest,
        }

    @property
    def parameters(self) -> dict[str, Json]:
        """Parameters of the recipe."""
        return dict(self.document["parameters"])

    @property
    def attributes(self) -> dict[str, Any]:
        """What the stage recorded beside the content (classes, licence, logit scale, …)."""
        return dict(self.document["attributes"])

    @property
    def arrays(self) -> dict[str, ItemSpec]:
        """Item type of each array whose items are of one shape."""
        return specs_of(self.document)

    @property
    def mixed(self) -> dict[str, str]:
        """Element type of each array whose items are of mixed size."""
        return mixed_of(self.document)

    @property
    def shard_rows(self) -> tuple[int, ...]:
        """Rows of each shard."""
        return tuple(int(shard["rows"]) for shard in self.document["shards"])

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """``{path below the folder: {"bytes", "blake3"}}`` of every file but the manifest."""
        files = dict(self.document["files"])
        for shard in self.document["shards"]:
            files.update(shard["files"])
        return files

    @property
    def encoded(self) -> bytes:
        """Bytes of ``manifest.json``."""
        return seal_document(self.document)

    @property
    def identity(self) -> str:
        """Digest of the manifest itself: differs after a rebuild, unlike the recipe key."""
        return digest_json(self.document)


class Artifact:
    """Reader of a sealed artifact."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"<Artifact {self.manifest.label} {self.manifest.rows} rows>"

    def __len__(self) -> int:
        return self.manifest.rows

    @property
    def name(self) -> str:
        """Readable name below the stage, for example ``medimeta-c/pbc/test/contrast/3``."""
        return self.manifest.name

    @property
    def attributes(self) -> dict[str, Any]:
        """What the stage recorded beside the content."""
        return self.manifest.attributes

    def array(self, name: str) -> ShardedArray:
        """Return one of its arrays of equal items, for example ``images``.

        Raises
        ------
        UsageError
            If it has none of this name, or its items are of mixed size.
        """
        spec = self.manifest.arrays.get(name)
        if spec is None:
            raise self._no_array(name, "items of mixed size: read it with Artifact.mixed")
        return ShardedArray(self.manifest.folder / name, spec, self.manifest.shard_rows)

    def mixed(self, name: str) -> MixedArray:
        """Return one of its arrays of items of mixed size, for example ``masks``.

        Raises
        ------
        UsageError
            If it has none of this name, or its items are of one size.
        """
        dtype = self.manifest.mixed.get(name)
        if dtype is None:
            raise self._no_array(name, "items of one size: read it with Artifact.array")
        folder, rows = self.manifest.folder, self.manifest.shard_rows
        return MixedArray(folder / name, dtype, rows, _Shapes(self, name))

    def _no_array(self, name: str, other: str) -> UsageError:
        arrays = [*self.manifest.arrays, *self.manifest.mixed]
        if name in arrays:
            return UsageError(f"array {name} of {self.manifest.label} has {other}")
        known = ", ".join(arrays) or "none"
        return UsageError(f"{self.manifest.label} has no array {name!r}; it has: {known}")

    def index(
        self, columns: list[str] | None = None, start: int = 0, stop: int | None = None
    ) -> pa.Table:
        """Return rows `start` to `stop` of the index: one per item, with its declared columns.

        Only the shards of these rows are read.
        """
        import pyarrow as pa  # status and plan read no table

        from pipeline.tables import read_table

        folder = self.manifest.folder / INDEX
        starts = [0, *itertools.accumulate(self.manifest.shard_rows)]
        stop = starts[-1] if stop is None else stop
        first = max(0, bisect.bisect_right(starts, start, hi=len(starts) - 1) - 1)
        last = max(first + 1, bisect.bisect_left(starts, stop))
        try:
            parts = [
                read_table(folder / index_name(shard), columns, self.manifest.shard_rows[shard])
                for shard in range(first, last)
            ]
        except VerificationError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            message = f"{folder}: the index cannot be read: run `pipeline verify`"
            raise VerificationError(message) from error
        return pa.concat_tables(parts).slice(start - starts[first], stop - start)

    @property
    def file_folder(self) -> Path:
        """The folder of plain files of a source."""
        return self.manifest.folder / FILES


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Reads the shapes of an array's items, a shard at a time; can be pickled."""

    artifact: Artifact
    name: str

    def __call__(self, shard: int) -> Shapes:
        rows = self.artifact.manifest.shard_rows
        start = sum(rows[:shard])
        table = self.artifact.index(shape_columns(self.name), start, start + rows[shard])
        if table.num_rows != rows[shard]:
            folder = self.artifact.manifest.folder / INDEX
            message = f"{folder}: rows are missing: run `pipeline verify`"
            raise VerificationError(message)
        return shapes_of(table, self.name)


def index_name(shard: int) -> str:
    """Return the file name of one shard's part of the index."""
    return f"{shard:05d}.parquet"


def record_name(shard: int) -> str:
    """Return the file name of one shard's record."""
    return f"{shard:05d}.json"


def specs_of(document: Document) -> dict[str, ItemSpec]:
    """Return the arrays of equal items that a manifest or a record declares."""
    return {
        name: ItemSpec(entry["dtype"], tuple(entry["shape"]))
        for name, entry in document["arrays"].items()
        if entry["shape"] is not None
    }


def mixed_of(document: Document) -> dict[str, str]:
    """Return the arrays of items of mixed size that it declares, with their element types."""
    return {
        name: entry["dtype"] for name, entry in document["arrays"].items() if entry["shape"] is None
    }


def require_schema(document: Document, schema: str, path: Path | str) -> None:
    """Refuse a document of another schema, saying whether the program or the file is too old."""
    found = str(document.get("schema"))
    if not is_readable(found, schema):
        message = (
            f"{path}: has schema {found!r}, this version of medshards reads {schema!r}: "
            "use the version that wrote this store, or a newer one"
        )
        raise StoreError(message)
