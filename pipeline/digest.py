"""Digests of bytes, files and JSON values: blake3, and SHA-256 where others publish that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import blake3

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def canonical_json(value: Json) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and no spaces; NaN and Inf are refused.

    Floats are written by `repr`, the shortest text that reads back as the same number.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_json(value: Json) -> str:
    """Return the hexadecimal blake3 of the canonical JSON of `value`."""
    return digest_bytes(canonical_json(value))


def digest_bytes(data: bytes | bytearray | memoryview) -> str:
    """Return the hexadecimal blake3 of `data`."""
    return blake3.blake3(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the hexadecimal blake3 of a file, read in pieces and never mapped.

    A mapped file that is truncated while it is read kills the process.
    """
    with path.open("rb") as file:
        # typeshed wants a name and a copy too, which nothing here asks for.
        return hashlib.file_digest(file, blake3.blake3).hexdigest()  # type: ignore[arg-type]


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
