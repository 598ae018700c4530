"""JSON files that carry a checksum of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.digest import digest_json
from pipeline.errors import VerificationError

Document = dict[str, Any]


def seal_document(document: Document) -> bytes:
    """Return the bytes of `document` with its checksum, laid out for people to read."""
    sealed = {**document, "checksum": digest_json(document)}
    return (json.dumps(sealed, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def read_document(path: Path) -> Document:
    """Return the document in `path` without its checksum.

    Raises
    ------
    VerificationError
        If any byte of the file differs from what was written.
    """
    data = path.read_bytes()
    document = _parsed(data)
    if document is None:
        message = f"{path}: its checksum does not match: the file was changed or cut short"
        raise VerificationError(message)
    return document


def _parsed(data: bytes) -> Document | None:
    """Return the document in `data`, or None unless `data` is exactly what would be written."""
    try:
        document: Document = json.loads(data)
        del document["checksum"]
        return document if seal_document(document) == data else None
    except (ValueError, KeyError, TypeError):
        return None
