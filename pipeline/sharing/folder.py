"""A store in a folder, which others may share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.digest import digest_file
from pipeline.errors import StoreError, UsageError
from pipeline.patience import Patience
from pipeline.sharing.remote import Remote
from pipeline.sharing.streams import file_pieces
from pipeline.sharing.trouble import AbsentError, RemoteError
from pipeline.store import DOWNLOADS, LEASES, STAGING, Store


class FolderRemote(Remote):
    """A folder, written with the commit protocol of every local store."""

    writable = True
    lists = True

    def __init__(self, root: Path, url: str, patience: Patience) -> None:
        if root.exists() and not root.is_dir():
            message = f"{url}: a store is a folder, and this is a file"
            raise UsageError(message)
        super().__init__(url, patience)
        self.root = root
        self._store = Store(root)

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep a staging folder in it."""
        with self._store.writing():
            yield

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the bytes of every file; links are not followed."""
        found: dict[str, int] = {}
        top = self.root / folder
        if not self.root.is_dir():
            raise AbsentError("there is no such folder")
        for place, folders, names in os.walk(top, onerror=_raise):
            if Path(place) == self.root:
                folders[:] = [one for one in folders if one not in {STAGING, LEASES, DOWNLOADS}]
            folders.sort()
            for name in names:
                path = Path(place, name)
                if path.is_file() and not path.is_symlink():
                    found[path.relative_to(self.root).as_posix()] = path.stat().st_size
        return found

    def pieces(self, path: str, nbytes: int | None) -> Iterator[bytes]:
        """Yield the content of a file."""
        del nbytes
        final = self.root / path
        if not final.is_file():
            raise AbsentError("there is no such file")
        if not final.resolve().is_relative_to(self.root.resolve()):
            raise RemoteError("a link leads out of the store", final=True, wrong=True)
        yield from file_pieces(final)

    def recorded_digest(self, path: str) -> str | None:
        """Return the blake3 of a file, calculated now."""
        try:
            return digest_file(self.root / path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RemoteError(str(error.strerror), final=True) from error

    def send(self, path: str, pieces: Iterable[bytes], nbytes: int, digest: str) -> None:
        """Stage a file, and give it its name durably."""
        del nbytes, digest
        final = self.root / path
        disk = self._store.disk
        try:
            with self._store.staging() as staging:
                disk.write(staged := staging / "sent.part", pieces)
                if not disk.publish(staged, final):
                    raise RemoteError("another process wrote it meanwhile", final=False)
        except StoreError as error:
            raise RemoteError(str(error), final=True) from error

    def replace(self, path: str, data: bytes) -> None:
        """Replace a small file."""
        try:
            with self._store.staging() as staging:
                self._store.disk.make_folder((self.root / path).parent)
                self._store.disk.replace(staging / "new.part", self.root / path, data)
        except StoreError as error:
            raise RemoteError(str(error), final=True) from error


def _raise(error: OSError) -> None:
    reason = f"{error.filename}: {error.strerror}"
    raise RemoteError(reason, final=True) from error
