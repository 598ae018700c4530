"""A store behind a plain web server, to be read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urlsplit

from pipeline.errors import StoreError, UsageError
from pipeline.patience import Patience
from pipeline.sharing.remote import Remote
from pipeline.sharing.streams import PIECE
from pipeline.sharing.trouble import AbsentError, RemoteError

if TYPE_CHECKING:
    from fsspec.implementations.http import HTTPFileSystem

_FINAL = frozenset({400, 401, 403, 405, 410, 451})
"""Statuses that another attempt would meet again."""


class HttpRemote(Remote):
    """Files below an address. What it holds is known from its catalogue alone."""

    writable = False
    lists = False

    def __init__(self, url: str, patience: Patience) -> None:
        parts = urlsplit(url)
        if parts.query or parts.fragment or not parts.hostname:
            message = f"{url}: write the address of the store's folder, without '?' and '#'"
            raise UsageError(message)
        path = quote(parts.path.rstrip("/"), safe="/%~:@!$&'()*+,;=")
        self._base = f"{parts.scheme}://{parts.netloc}{path}/"
        super().__init__(re.sub(r"//[^/@]*@", "//", url), patience)

    @cached_property
    def _fs(self) -> HTTPFileSystem:
        try:
            import aiohttp
            from fsspec.implementations.http import HTTPFileSystem
        except ImportError as error:
            message = f"{self.url}: {error}: install it with: pip install 'fsspec[http]'"
            raise StoreError(message) from error
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self.patience.connect_timeout,
            sock_read=self.patience.read_timeout,
        )
        options = {
            "timeout": timeout,
            "headers": {"Accept-Encoding": "identity"},
        }
        return HTTPFileSystem(client_kwargs=options, encoded=True, skip_instance_cache=True)

    def session(self) -> contextlib.AbstractContextManager[None]:
        """Refuse: it can only be read."""
        message = f"{self.url} can only be read: push to a folder or an s3:// address"
        raise UsageError(message)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Refuse: a web server need not list anything."""
        self._refuse(folder)

    def pieces(self, path: str, nbytes: int | None) -> Iterator[bytes]:
        """Yield the body of one answer."""
        address = self._base + quote(path)
        with _told():
            # With a size, no second request asks for one; without a block size it is a stream.
            body = self._fs.open(address, "rb", block_size=0, size=nbytes or 1)
        try:
            while True:
                with _told():
                    piece = body.read(PIECE)
                if not piece:
                    return
                yield piece
        finally:
            body.close()

    def recorded_digest(self, path: str) -> str | None:
        """Refuse: nothing is sent here."""
        self._refuse(path)

    def send(self, path: str, pieces: Iterable[bytes], nbytes: int, digest: str) -> None:
        """Refuse."""
        del pieces, nbytes, digest
        self._refuse(path)

    def replace(self, path: str, data: bytes) -> None:
        """Refuse."""
        del data
        self._refuse(path)

    def _refuse(self, path: str) -> NoReturn:
        del path
        raise RemoteError("it can only be read, file by file", final=True)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what the network does into one reason."""
    import aiohttp

    try:
        yield
    except FileNotFoundError as error:
        raise AbsentError from error
    except aiohttp.ClientResponseError as error:
        final = error.status in _FINAL
        reason = f"the server answers {error.status} {error.message}".rstrip()
        raise RemoteError(reason, final=final) from error
    except TimeoutError as error:
        raise RemoteError("the server does not answer in time") from error
    except aiohttp.ClientPayloadError as error:
        raise RemoteError("cut short: the answer ended too early", wrong=True) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise RemoteError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
