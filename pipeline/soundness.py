"""Whether what a manifest says can be: checked before anything is allocated or opened for it.

A checksum proves that a manifest is as somebody wrote it, not that they meant well. Its names lead
nowhere but below its own folder, its types are plain numbers, and its sizes agree with each other:
the bytes of a shard's file follow from the rows and the type of its items.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.shards import ItemSpec, shard_bytes, shard_name

DTYPES = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    | {"float16", "float32", "float64"}
)
"""Types of array items. Others could hold references to objects."""

_LARGEST = 2**62
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^/\\\x00-\x1f]{1,255}")


def fault_of_manifest(document: Mapping[str, Any]) -> str | None:
    """Return the first thing in an artifact's manifest that cannot be, or None."""
    return next(_faults(document), None)


def fault_of_name(name: object) -> str | None:
    """Return why a name of several parts may not become a path, or None."""
    if not isinstance(name, str) or not name:
        return f"{name!r} is no name"
    for part in name.split("/"):
        if part in {"", ".", ".."} or not _NAME.fullmatch(part):
            return f"{name!r} leads outside its folder"
    return None


def _faults(document: Mapping[str, Any]) -> Iterator[str]:
    try:
        yield from _identity(document)
        yield from _arrays(document["arrays"])
        yield from _files(document)
        yield from _sizes(document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        yield f"it is not in the form of a manifest ({type(error).__name__}: {error})"


def _identity(document: Mapping[str, Any]) -> Iterator[str]:
    stage, inputs = document["stage"], document["inputs"]
    names = [(stage, document["name"]), *((i["stage"], i["name"]) for i in inputs.values())]
    for of_stage, name in names:
        if fault := fault_of_name(of_stage) or fault_of_name(name):
            yield fault
        if "/" in of_stage:
            yield f"{of_stage!r} is no stage"
    keys = [document["recipe_key"], document["content_key"], document["content_digest"]]
    for one in inputs.values():
        keys += [one["recipe_key"], one["content_digest"]]
    for key in keys:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            yield f"{key!r} is no digest"


def _arrays(arrays: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in arrays.items():
        if "/" in name or fault_of_name(name):
            yield f"array {name!r}: this is no name"
        if entry["dtype"] not in DTYPES:
            yield f"array {name!r}: items of type {entry['dtype']!r} are refused"
        shape = entry["shape"]
        if shape is not None and (len(shape) > 16 or not all(map(_is_size, shape))):
            yield f"array {name!r}: items of shape {shape!r} are refused"
        if shape is not None and math.prod(shape) > _LARGEST:
            yield f"array {name!r}: items of shape {shape!r} are refused"


def _files(document: Mapping[str, Any]) -> Iterator[str]:
    tables = [document["files"], *(shard["files"] for shard in document["shards"])]
    for files in tables:
        for path, entry in files.items():
            if fault := fault_of_name(path):
                yield f"file {fault}"
            if not _is_size(entry["bytes"]):
                yield f"file {path!r} has {entry['bytes']!r} bytes"
            if not isinstance(entry["blake3"], str) or not _KEY.fullmatch(entry["blake3"]):
                yield f"file {path!r} has no digest"


def _sizes(document: Mapping[str, Any]) -> Iterator[str]:
    """Compare the rows of the shards with each other and with the bytes of their files."""
    shards = document["shards"]
    rows = [shard["rows"] for shard in shards]
    if not all(map(_is_size, rows)) or sum(rows) != document["rows"]:
        yield f"{document['rows']!r} rows are not those of its shards"
        return
    fixed = [
        (name, ItemSpec(entry["dtype"], tuple(entry["shape"])))
        for name, entry in document["arrays"].items()
        if entry["shape"] is not None
    ]
    for number, shard in enumerate(shards):
        if fixed and (
            rows[number] > rows[0] or (number < len(rows) - 1 and rows[number] != rows[0])
        ):
            yield f"shard {number} has {rows[number]} rows, the first has {rows[0]}"
        for name, spec in fixed:
            path = f"{name}/{shard_name(spec, number)}"
            promised = shard["files"][path]["bytes"]
            expected = shard_bytes(spec, rows[number], rows[0])
            if promised != expected:
                yield f"{path} has {promised} bytes, its {rows[number]} items need {expected}"


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST
