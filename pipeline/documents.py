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


def read_document(path: Path, *, exact: bool = True) -> Document:
    """Return the document in `path` without its checksum; see `parse_document`."""
    return parse_document(path.read_bytes(), path, exact=exact)


def parse_document(data: bytes, origin: object, *, exact: bool = True) -> Document:
    """Return the document that `data`, read from `origin`, is, without its checksum.

    Raises
    ------
    VerificationError
        If any byte differs from what was written; if not `exact`, which takes a tenth of the time,
        if anything differs that it says: not how it is laid out, or a number spelt.
    """
    document = _parsed(data, exact=exact)
    if document is None:
        message = f"{origin}: its checksum does not match: the file was changed or cut short"
        raise VerificationError(message)
    return document


def _parsed(data: bytes, *, exact: bool) -> Document | None:
    """Return the document in `data`, or None if it is not the one that was written."""
    try:
        document: Document = json.loads(data)
        checksum = document.pop("checksum")
        if exact:
            return document if seal_document(document) == data else None
        return document if digest_json(document) == checksum else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
