"""What a remote store can do, and which remote a URL is."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pipeline.documents import parse_document
from pipeline.errors import UsageError, VerificationError
from pipeline.patience import Patience
from pipeline.sharing.streams import bounded
from pipeline.sharing.trouble import AbsentError, RemoteError, given_up

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/")
T = TypeVar("T")
SMALL = 64 << 20
"""Most bytes of a manifest or another document that is read whole."""


class Remote(ABC):
    """A store somewhere else. Paths are below its root, with slashes.

    Every abstract method that reaches the remote raises `RemoteError`, once, without trying again.
    """

    writable: bool
    lists: bool
    """Whether it can tell what it holds; else its catalogue has to."""

    def __init__(self, url: str, patience: Patience) -> None:
        self.url = url
        """As the user wrote it, without a password."""
        self.patience = patience

    @abstractmethod
    def session(self) -> contextlib.AbstractContextManager[None]:
        """Be ready to write for as long as the context lasts."""

    @abstractmethod
    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the bytes of every file below a folder by its path below the root."""

    @abstractmethod
    def pieces(self, path: str, nbytes: int | None) -> Iterator[bytes]:
        """Yield the content of a file, of whose size `nbytes` is promised if anything is."""

    @abstractmethod
    def recorded_digest(self, path: str) -> str | None:
        """Return the blake3 of a file that is there as far as the remote knows, or None."""

    @abstractmethod
    def send(self, path: str, pieces: Iterable[bytes], nbytes: int, digest: str) -> None:
        """Make a file of `pieces` appear under its name once all were taken without an error."""

    @abstractmethod
    def replace(self, path: str, data: bytes) -> None:
        """Make a small file be `data`, atomically, whatever it was before."""

    def where(self, path: str) -> str:
        """Return how messages name a file, or the store by an empty path."""
        return f"{self.url}: {path}" if path else self.url

    def keep_trying(self, path: str, action: Callable[[], T]) -> T:
        """Return what an action on a file returns, as patiently as `Patience.persist`.

        Raises
        ------
        AbsentError
            If there is no such object.
        VerificationError
            If the last attempt was answered with wrong bytes.
        StoreError
            If the last attempt failed otherwise.
        """
        try:
            return self.patience.persist(action)
        except AbsentError:
            raise
        except RemoteError as error:
            raise given_up(self.where(path), error) from error

    def keep(self, path: str, data: bytes) -> None:
        """Replace a small file, trying again as long as that may help."""
        self.keep_trying(path, lambda: self.replace(path, data))

    def read_small(self, path: str) -> bytes | None:
        """Return the content of a small file, or None if there is no such file.

        A document that does not match its own checksum is asked for again: a proxy may have cut
        it.

        Raises
        ------
        StoreError
            If the remote cannot be read.
        """
        last: bytes | None = None

        def action() -> bytes:
            nonlocal last
            last = bounded(self.pieces(path, None), SMALL)
            return last

        for _ in range(max(1, min(3, self.patience.attempts))):
            try:
                data = self.keep_trying(path, action)
            except AbsentError:
                return None
            with contextlib.suppress(VerificationError):
                parse_document(data, path)
                break
        return last


def open_remote(url: str, patience: Patience) -> Remote:
    """Return the store at a folder's path, or at a file:, s3:, http: or https: URL.

    Nothing is asked of it yet.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    found = _URL.match(url)
    scheme = found[1].lower() if found else "file"
    if scheme == "file":
        from pipeline.sharing.folder import FolderRemote

        return FolderRemote(_local(url) if found else Path(url), url, patience)
    if scheme == "s3":
        from pipeline.sharing.s3 import S3Remote

        return S3Remote(url, patience)
    if scheme in {"http", "https"}:
        from pipeline.sharing.http import HttpRemote

        return HttpRemote(url, patience)
    message = f"{url}: a shared store is a folder, or at an s3://, http:// or https:// address"
    raise UsageError(message)


def _local(url: str) -> Path:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        message = f"{url}: a file: address names a folder of this machine, as file:///path does"
        raise UsageError(message)
    return Path(unquote(parts.path))
