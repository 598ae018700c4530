"""A sealed artifact: its manifest, and readers of what it holds."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.digest import Json, digest_json
from pipeline.documents import Document, read_document
from pipeline.errors import StoreError, UsageError, VerificationError
from pipeline.shards import ItemSpec, ShardedArray

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "medshards/artifact/1"
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
    def read(cls, folder: Path) -> Manifest:
        """Return the manifest of the artifact in `folder`.

        Raises
        ------
        FileNotFoundError
            If the artifact is not sealed.
        VerificationError
            If the file was changed.
        StoreError
            If a newer version of this program wrote it.
        """
        document = read_document(folder / MANIFEST)
        require_schema(document, SCHEMA, folder / MANIFEST)
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
    def parameters(self) -> dict[str, Json]:
        """Parameters of the recipe."""
        return dict(self.document["parameters"])

    @property
    def attributes(self) -> dict[str, Any]:
        """What the stage recorded beside the content (classes, licence, logit scale, …)."""
        return dict(self.document["attributes"])

    @property
    def arrays(self) -> dict[str, ItemSpec]:
        """Item type of each array."""
        return specs_of(self.document)

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
        """Return one of its arrays, for example ``images``."""
        try:
            spec = self.manifest.arrays[name]
        except KeyError:
            known = ", ".join(self.manifest.arrays) or "none"
            message = f"{self.manifest.label} has no array {name!r}; it has: {known}"
            raise UsageError(message) from None
        return ShardedArray(self.manifest.folder / name, spec, self.manifest.shard_rows)

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
                read_table(folder / index_name(shard), columns) for shard in range(first, last)
            ]
        except (OSError, ValueError, pa.ArrowException) as error:
            message = f"{folder}: the index cannot be read: run `pipeline verify`"
            raise VerificationError(message) from error
        return pa.concat_tables(parts).slice(start - starts[first], stop - start)

    @property
    def file_folder(self) -> Path:
        """The folder of plain files of a source."""
        return self.manifest.folder / FILES


def index_name(shard: int) -> str:
    """Return the file name of one shard's part of the index."""
    return f"{shard:05d}.parquet"


def record_name(shard: int) -> str:
    """Return the file name of one shard's record."""
    return f"{shard:05d}.json"


def specs_of(document: Document) -> dict[str, ItemSpec]:
    """Return the arrays that a manifest or a record declares."""
    return {
        name: ItemSpec(entry["dtype"], tuple(entry["shape"]))
        for name, entry in document["arrays"].items()
    }


def require_schema(document: Document, schema: str, path: Path) -> None:
    """Refuse a document of another schema, saying whether the program or the file is too old."""
    found = str(document.get("schema"))
    if found != schema:
        message = (
            f"{path}: has schema {found!r}, this version of medshards reads {schema!r}: "
            "use the version that wrote this store, or a newer one"
        )
        raise StoreError(message)
