"""What a Zenodo record says about one of its files."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from pipeline.errors import DataError
from pipeline.manifest import nearest
from pipeline.patience import Patience, TroubleError
from stages.download.sources import Promise
from stages.download.transfer import USER_AGENT
from stages.download.trouble import PASSING_STATUSES, AddressFailedError, persist, retry_after

ZENODO = "https://zenodo.org"


def file_url(base: str, record: int, file: str) -> str:
    """Return the address of a record's file."""
    return f"{base}/records/{record}/files/{quote(file)}?download=1"


def published_promise(base: str, record: int, file: str, patience: Patience) -> Promise:
    """Return the digest and size that the Zenodo record publishes for `file`.

    Zenodo records change only by a new record number, but the digest is still to be pinned: the
    answer and the file come from the same server.

    Raises
    ------
    AddressFailedError
        When the record cannot be read.
    DataError
        When the record has no such file or no digest for it.
    """
    address = f"{base}/api/records/{record}"
    files = persist(lambda: _files(address, patience), patience)
    if file not in files:
        message = f"{address}: the record has no file {file!r}{nearest(file, files)}"
        raise DataError(message)
    return _promise(address, file, files[file])


def _files(address: str, patience: Patience) -> dict[str, Any]:
    import requests

    limits = (patience.connect_timeout, patience.read_timeout)
    try:
        answer = requests.get(address, headers={"User-Agent": USER_AGENT}, timeout=limits)
    except requests.RequestException as error:
        raise TroubleError(f"{address}: {type(error).__name__}") from error
    if answer.status_code in PASSING_STATUSES:
        wait = retry_after(answer.headers.get("Retry-After"), patience)
        raise TroubleError(f"{address}: HTTP {answer.status_code}", wait=wait)
    if answer.status_code != 200:
        raise AddressFailedError(f"{address}: HTTP {answer.status_code} {answer.reason}")
    try:
        entries = answer.json()["files"]
        # `filename` and a bare checksum are how older answers of the service look.
        return {str(entry.get("key") or entry["filename"]): entry for entry in entries}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AddressFailedError(f"{address}: the answer lists no files") from error


def _promise(address: str, file: str, entry: dict[str, Any]) -> Promise:
    algorithm, _, digest = str(entry.get("checksum", "")).rpartition(":")
    size = entry.get("size", entry.get("filesize"))
    try:
        return Promise.model_validate({algorithm or "md5": digest, "size_bytes": size})
    except ValidationError as error:
        message = f"{address}: no usable digest and size for {file!r}"
        raise DataError(message) from error
