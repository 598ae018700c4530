"""What goes with a published artifact: Croissant metadata, SHA256SUMS and a dataset card.

Croissant 1.1 (http://mlcommons.org/croissant/1.1): every file is a FileObject with its SHA-256, the
columns of the index are the fields of a RecordSet, with their meanings. It has no reader of Zarr,
so shards are files only; the card says how to open them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifact import INDEX, MANIFEST, Manifest, index_name
from pipeline.cards import card, is_synthetic
from pipeline.digest import sha256_file
from pipeline.errors import PipelineError
from pipeline.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

CROISSANT = "croissant.json"
SUMS = "SHA256SUMS"
CARD = "README.md"
VERSION = "http://mlcommons.org/croissant/1.1"

_MEDIA = {".parquet": "application/x-parquet", ".json": "application/json"}
_TERMS = (
    "citeAs",
    "column",
    "equivalentProperty",
    "extract",
    "field",
    "fileProperty",
    "fileObject",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "medshards": "urn:medshards:",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {name: f"cr:{name}" for name in _TERMS}


def publication(store: Store, manifest: Manifest, url: str | None = None) -> dict[str, bytes]:
    """Return the files that go beside those of a published artifact, by name.

    Parameters
    ----------
    store
        Where it and what it was made from lie; every file of it is read once.
    url
        Where the artifact is published; default: an identifier by its content.

    Raises
    ------
    VerificationError
        If the last `verify` found it damaged.
    """
    store.require_undamaged(manifest)
    sums = file_sums(manifest)
    return companions(store, manifest, sums, url) | {
        SUMS: "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    }


def companions(
    store: Store, manifest: Manifest, sums: Mapping[str, str], url: str | None = None
) -> dict[str, bytes]:
    """Return the metadata and the card of an artifact, given the SHA-256 of its files by path."""
    own = {name: sums[name] for name in sorted([*manifest.files, MANIFEST])}
    licences = licences_of(store, manifest)
    croissant = describe(manifest, own, licences, index_schema(manifest), url)
    return {
        CROISSANT: (json.dumps(croissant, indent=1, ensure_ascii=False) + "\n").encode(),
        CARD: card(manifest, licences, croissant["description"]).encode(),
    }


def file_sums(manifest: Manifest) -> dict[str, str]:
    """Return the SHA-256 of every file of an artifact, its manifest among them, by path."""
    names = sorted([*manifest.files, MANIFEST])
    return {name: sha256_file(manifest.folder / name) for name in names}


def licences_of(store: Store, manifest: Manifest) -> list[dict[str, Any]]:
    """Return what the datasets that an artifact was made from say of themselves, in name order.

    Each has ``dataset``, ``title``, ``citation``, ``synthetic`` and ``licence``, as far as stated.
    """
    found: dict[str, dict[str, Any]] = {}
    waiting, seen = [manifest], set()
    while waiting:
        one = waiting.pop()
        if one.recipe_key in seen:
            continue
        seen.add(one.recipe_key)
        stated = one.attributes
        if "licence" in stated:
            name = str(one.parameters.get("dataset", one.name.split("/")[0]))
            found[name] = {"dataset": name} | {
                key: stated.get(key) for key in ("title", "citation", "synthetic", "licence")
            }
            continue  # what it was made from is its own source
        for role in one.document["inputs"]:
            try:
                waiting.append(store.input_of(one, role).manifest)
            except PipelineError:  # raw data may be gone
                continue
    return [found[name] for name in sorted(found)]


def index_schema(manifest: Manifest) -> pa.Schema:
    """Return the columns of an artifact's index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = manifest.folder / INDEX / index_name(0)
    with pa.OSFile(str(path)) as file:
        return pq.read_schema(file)


def describe(
    manifest: Manifest,
    sums: Mapping[str, str],
    licences: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    url: str | None = None,
) -> dict[str, Any]:
    """Return the Croissant metadata of an artifact."""
    stated = [one["licence"] for one in licences if one["licence"]]
    names = sorted({_licence_url(one["spdx"]) for one in stated})
    citations = [str(one["citation"]).strip() for one in licences if one["citation"]]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": manifest.label.replace("/", "_"),
        "alternateName": manifest.label,
        "description": _description(manifest, licences),
        "url": url or f"urn:blake3:{manifest.content_digest}",
        "license": names or ["https://spdx.org/licenses/NOASSERTION"],
        "citeAs": "\n".join(citations) or "none stated",
        "creator": {"@type": "sc:Organization", "name": "MedShards"},
        "datePublished": manifest.document["provenance"]["sealed"][:10],
        "version": f"{manifest.document['version']}.0.0",
        "keywords": [manifest.stage, *(["synthetic"] if is_synthetic(licences) else [])],
        "isLiveDataset": False,
        "medshards:synthetic": is_synthetic(licences),
        "medshards:contentDigest": f"blake3:{manifest.content_digest}",
        "medshards:recipeKey": f"blake3:{manifest.recipe_key}",
        "distribution": [*_file_objects(manifest, sums), _index_files()],
        "recordSet": [_record_set(manifest, schema)],
    }


def _description(manifest: Manifest, licences: Sequence[Mapping[str, Any]]) -> str:
    what = ", ".join([*manifest.arrays, *manifest.mixed]) or "a table"
    titles = ", ".join(str(one["title"]) for one in licences if one["title"])
    text = f"{manifest.rows} rows of {what}, made by the stage {manifest.stage}"
    text += f" from {titles}." if titles else "."
    if is_synthetic(licences):
        text += " Synthetic images, not taken from people."
    return text


def _licence_url(spdx: str) -> str:
    return f"https://spdx.org/licenses/{spdx}"


def _file_objects(manifest: Manifest, sums: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    sizes = {name: entry["bytes"] for name, entry in manifest.files.items()}
    sizes[MANIFEST] = len(manifest.encoded)
    for name, digest in sums.items():
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{sizes[name]} B",
            "encodingFormat": _MEDIA.get(Path(name).suffix, "application/octet-stream"),
            "sha256": digest,
        }


def _index_files() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "index-files",
        "name": "index-files",
        "description": "The index, in as many files as the artifact has shards.",
        "encodingFormat": "application/x-parquet",
        "includes": f"{INDEX}/*.parquet",
    }


def _record_set(manifest: Manifest, schema: pa.Schema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": INDEX,
        "name": INDEX,
        "description": f"One row for each of the {manifest.rows} items, in order.",
        "field": [_field(column) for column in schema],
    }


def _field(column: pa.Field) -> dict[str, Any]:
    from pyarrow import types

    kind, repeated = column.type, False
    while types.is_list(kind) or types.is_fixed_size_list(kind):
        kind, repeated = kind.value_type, True
    if types.is_boolean(kind):
        name = "sc:Boolean"
    elif types.is_integer(kind):
        name = "sc:Integer"
    elif types.is_floating(kind):
        name = "sc:Float"
    else:
        name = "sc:Text"
    stated = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
    unit = stated.get("unit", "")
    meaning = stated.get("meaning", column.name)
    return {
        "@type": "cr:Field",
        "@id": f"{INDEX}/{column.name}",
        "name": column.name,
        "description": f"{meaning} ({unit})" if unit not in {"", "1"} else meaning,
        "dataType": name,
        **({"repeated": True} if repeated else {}),
        "source": {"fileSet": {"@id": "index-files"}, "extract": {"column": column.name}},
    }
