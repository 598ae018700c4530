"""What lies beside the manifest of an artifact that was pushed somewhere.

``published.json`` lists the files that the manifest does not know, with size and digest: the
records of the shards, and companions such as ``SHA256SUMS``. It also says of which licences the
content is, and why it was published against them if it was. Pull brings all of it along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.artifact import ALIAS, MANIFEST, RECORDS, Manifest, record_name, require_schema
from pipeline.documents import Document, parse_document, seal_document
from pipeline.errors import VerificationError
from pipeline.soundness import fault_of_name

SCHEMA = "medshards/published/1"
PUBLISHED = "published.json"
SUMS = "SHA256SUMS"
RECIPES = "recipes"
"""Folder, at the root of a store, of the recipes of what may not be passed on."""
CATALOGUE = "catalogue.json"
"""Names what a store holds, at its root, for web servers that list nothing."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Published:
    """What ``published.json`` says."""

    manifest: str
    """Identity of the manifest beside it."""
    files: Mapping[str, Mapping[str, Any]]
    """``{path below the folder: {"bytes", "blake3"}}`` of what the manifest does not list."""
    licences: tuple[Mapping[str, Any], ...] = ()
    """Of every dataset that the content is made from: dataset, spdx, redistribution, ….."""
    override: Mapping[str, Any] | None = None
    """Why it was published against its licences, by whom is told and when; None if it was not."""
    schema: str = field(default=SCHEMA)

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        document: Document = {
            "schema": self.schema,
            "manifest": self.manifest,
            "files": {path: dict(entry) for path, entry in self.files.items()},
            "licences": [dict(licence) for licence in self.licences],
            "override": None if self.override is None else dict(self.override),
        }
        return seal_document(document)

    @classmethod
    def parse(cls, data: bytes, manifest: Manifest, origin: Path | str) -> Published:
        """Return what the file beside `manifest` says.

        Raises
        ------
        VerificationError
            If it was changed, belongs to another manifest, or names what it may not.
        StoreError
            If a newer version of this program wrote it.
        """
        document = parse_document(data, origin)
        require_schema(document, SCHEMA, origin)
        if fault := _fault(document, manifest):
            message = f"{origin}: refused: {fault}"
            raise VerificationError(message)
        licences, override = tuple(document["licences"]), document["override"]
        return cls(document["manifest"], document["files"], licences, override)

    @classmethod
    def read(cls, manifest: Manifest) -> Published | None:
        """Return what the file beside a local manifest says, or None if there is no such file."""
        path = manifest.folder / PUBLISHED
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        return cls.parse(data, manifest, path)


def records_of(manifest: Manifest) -> tuple[str, ...]:
    """Return the paths of the records of a sealed artifact's shards, below its folder."""
    return tuple(f"{RECORDS}/{record_name(shard)}" for shard in range(len(manifest.shard_rows)))


def _fault(document: Document, manifest: Manifest) -> str | None:
    try:
        if document["manifest"] != manifest.identity:
            return "it belongs to another manifest"
        if not isinstance(document["licences"], list):
            return "its licences are no list"
        records = set(records_of(manifest))
        taken = {MANIFEST, ALIAS, PUBLISHED, *manifest.files}
        for path, entry in document["files"].items():
            if fault := fault_of_name(path):
                return f"file {fault}"
            if path in taken or ("/" in path and path not in records):
                return f"file {path!r} does not belong beside a manifest"
            size = entry["bytes"]
            if type(size) is not int or size < 0 or not _DIGEST.fullmatch(entry["blake3"]):
                return f"file {path!r} has no size and digest"
    except (KeyError, TypeError, AttributeError) as error:
        return f"it is not in its form ({type(error).__name__}: {error})"
    return None
