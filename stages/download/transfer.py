"""Moving one file from an HTTP address into a `Part`, resuming where it was cut off."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pipeline.errors import VerificationError
from pipeline.patience import Patience, TroubleError
from stages.download.part import Part
from stages.download.sources import Promise
from stages.download.trouble import PASSING_STATUSES, AddressFailedError, persist, retry_after

if TYPE_CHECKING:
    import requests

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes held so far and, where known, the length of the file."""

PIECE = 1 << 16
"""Bytes read at a time; a cut connection loses at most these, so they are few."""

USER_AGENT = "medshards (dataset download; resumes, obeys Retry-After)"
"""Some archives refuse requests that carry a library's default name."""


def receive(
    url: str, part: Part, promise: Promise, patience: Patience, progress: Progress | None
) -> None:
    """Bring the bytes of `url` into `part`, repeating and resuming as `patience` allows.

    What `part` already holds is continued with a `Range` request if either the version it came
    from is known (then `If-Range` makes a changed file start over) or a digest will be checked
    at the end; otherwise it is dropped. A server that ignores `Range` starts over.

    Raises
    ------
    AddressFailedError
        When this address will not give the file; what arrived stays in `part`.
    VerificationError
        When the server announces another length than the promised one.
    """
    import requests

    with requests.Session() as session:

        def attempt() -> None:
            try:
                with session.get(
                    url,
                    headers=_headers(url, part, promise),
                    stream=True,
                    timeout=(patience.connect_timeout, patience.read_timeout),
                ) as response:
                    _take(response, url, part, promise, patience, progress)
            except (requests.exceptions.SSLError, requests.TooManyRedirects) as error:
                raise AddressFailedError(_short(error)) from error
            except requests.RequestException as error:
                if isinstance(error, ValueError):  # requests marks malformed addresses so
                    raise AddressFailedError(_short(error)) from error
                reason = f"{_short(error)} after {part.size} bytes"
                raise TroubleError(reason) from error

        persist(attempt, patience, lambda: part.size)


def _headers(url: str, part: Part, promise: Promise) -> dict[str, str]:
    # A compressed transfer would make lengths and ranges mean something else.
    headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
    validator = part.validator(url)
    if part.size and validator is None and not promise.digests():
        part.restart()
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if validator is not None:
            headers["If-Range"] = validator
    return headers


def _take(
    response: requests.Response,
    url: str,
    part: Part,
    promise: Promise,
    patience: Patience,
    progress: Progress | None,
) -> None:
    if response.status_code == 416:
        _finish_or_restart(response, part)
        return
    _check_status(response, patience)
    total = _total(response, part)
    if promise.size_bytes is not None and total not in {None, promise.size_bytes}:
        message = f"{url}: expected {promise.size_bytes} bytes, the server offers {total}"
        raise VerificationError(message)
    part.remember(url, _validator(response))
    for piece in response.iter_content(PIECE):
        part.write(piece)
        if progress is not None:
            progress(part.size, total)
    if total is not None and part.size < total:
        message = f"the connection closed after {part.size} of {total} bytes"
        raise TroubleError(message)


def _finish_or_restart(response: requests.Response, part: Part) -> None:
    """Handle 416: either everything is here already, or `part` is not of this file."""
    complete = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if complete is None or int(complete[1]) != part.size:
        part.restart()
        message = "the server has nothing at the place to resume from"
        raise TroubleError(message, wait=0.0)


def _check_status(response: requests.Response, patience: Patience) -> None:
    status = response.status_code
    reason = f"HTTP {status} {response.reason}"
    if status in PASSING_STATUSES:
        wait = retry_after(response.headers.get("Retry-After"), patience)
        raise TroubleError(reason, wait=wait)
    if status not in {200, 206}:
        raise AddressFailedError(reason)


def _total(response: requests.Response, part: Part) -> int | None:
    """Return the whole file's length; start over if the server did not resume."""
    if response.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != part.size:
            part.restart()
            message = "the server resumed at another place than asked"
            raise TroubleError(message, wait=0.0)
        return None if found[2] == "*" else int(found[2])
    part.restart()
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _validator(response: requests.Response) -> str | None:
    """Return what identifies this version of the file; weak ETags may not be used for ranges."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return str(etag)
    modified = response.headers.get("Last-Modified")
    return None if modified is None else str(modified)


def _short(error: Exception) -> str:
    """Return an error's kind and innermost reason, without the library's nesting."""
    reason: BaseException = error
    while reason.args and isinstance(reason.args[0], BaseException):
        reason = reason.args[0]
    inner = getattr(reason, "reason", None)
    return f"{type(error).__name__}: {inner or reason}"
