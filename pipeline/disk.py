"""Durable file operations: the only code that changes a store."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import blake3
import numpy as np

from pipeline.errors import StoreError

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 4096
"""Bytes; what the disk writes past the page cache starts and ends at multiples of this."""

_DIRECT_BYTES = 1_048_576
_GROUP_FOLDER = 0o2775
_PUBLISHED = 0o444
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV}


class Disk:
    """Writes that survive a power cut once the method has returned.

    In a folder of a group (setgid, and writable by the group) folders are made for the group, and
    what is published is for all to read and for nobody to write, whatever the umask.

    Tests replace single methods to record, reorder or interrupt what a store does.
    """

    def make_folder(self, path: Path) -> None:
        """Create `path` and its parents, each entered durably in its own parent."""
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for folder in reversed(missing):
            with reported(folder):
                make = _make_for_group if _is_of_group(folder.parent) else Path.mkdir
                with contextlib.suppress(FileExistsError):
                    make(folder)
            self.sync_folder(folder.parent)

    def write(self, path: Path, pieces: Iterable[Buffer]) -> tuple[int, str]:
        """Write a new file and fsync it; return its size in bytes and its blake3."""
        hasher = blake3.blake3()
        size = 0
        with reported(path), path.open("xb", buffering=0) as file:
            for piece in pieces:
                hasher.update(piece)
                size += _write_all(file.fileno(), memoryview(piece).cast("B"))
            os.fsync(file.fileno())
        return size, hasher.hexdigest()

    def link(self, staged: Path, final: Path) -> None:
        """Give `staged` its final name, atomically; an existing `final` is left as it is.

        Raises
        ------
        FileExistsError
            If `final` exists already.
        """
        with reported(final):
            _for_all(staged, final.parent)
            try:
                os.link(staged, final)
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                if final.exists():
                    raise FileExistsError(final) from error
                staged.rename(final)

    def publish(self, staged: Path, final: Path) -> bool:
        """Give `staged` its final name durably, in a folder that is made if need be.

        Returns whether it was the first: another's `final` is left as it is, and made durable.
        """
        self.make_folder(final.parent)
        try:
            self.link(staged, final)
            first = True
        except FileExistsError:
            first = False
        self.sync_folder(final.parent)
        return first

    def replace(self, staged: Path, path: Path, data: bytes) -> None:
        """Replace the content of a small mutable file atomically, by way of `staged`."""
        self.write(staged, [data])
        with reported(path):
            _for_all(staged, path.parent)
            staged.replace(path)
        self.sync_folder(path.parent)

    def sync_file(self, path: Path) -> None:
        """Make the content of a file durable."""
        with reported(path), path.open("rb") as file:
            os.fsync(file.fileno())

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        with reported(path):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _is_of_group(folder: Path) -> bool:
    """Tell whether a folder is one that a group shares."""
    shared = stat.S_ISGID | stat.S_IWGRP
    return folder.stat().st_mode & shared == shared


def _make_for_group(folder: Path) -> None:
    """Make a folder that is the group's from the moment it has its name.

    Others may be making folders in it at once, which take after what they see.
    """
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name[:32]}-", dir=folder.parent))
    made.chmod(_GROUP_FOLDER)
    try:
        made.rename(folder)
    except OSError as error:
        made.rmdir()
        if error.errno not in _NOT_EMPTY:
            raise


def _for_all(staged: Path, folder: Path) -> None:
    """Let everybody read, and nobody write, what is about to be published in a group's folder."""
    if _is_of_group(folder):
        staged.chmod(_PUBLISHED)


def _write_all(file: int, piece: memoryview) -> int:
    """Write all of `piece` and return its size; most of a large, aligned one past the page cache.

    The page cache takes shards at a fraction of what the disk does, and the processor's time.
    """
    if len(piece) >= _DIRECT_BYTES and _address(piece) % BLOCK == 0 and _past_cache(file, on=True):
        try:
            whole = len(piece) // BLOCK * BLOCK
            done = 0
            while done < whole and done % BLOCK == 0:
                done += os.write(file, piece[done:whole])
        finally:
            _past_cache(file, on=False)
    else:
        done = 0
    while done < len(piece):
        done += os.write(file, piece[done:])
    return done


def _past_cache(file: int, *, on: bool) -> bool:
    """Write past the page cache from now on, or no longer; return whether that is possible."""
    direct = getattr(os, "O_DIRECT", 0)  # not on macOS
    if not direct or (on and os.lseek(file, 0, os.SEEK_CUR) % BLOCK):
        return False
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, flags | direct if on else flags & ~direct)
    except OSError as error:
        if error.errno == errno.EINVAL:  # a file system in memory, for example
            return False
        raise
    return True


def _address(piece: memoryview) -> int:
    return int(np.frombuffer(piece, np.uint8).ctypes.data)


def remove_tree(path: Path) -> None:
    """Remove a staged file, or a staging folder and all in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line that says where and what to do."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        advice = {
            errno.ENOSPC: "the disk is full: free some space and run the same command again",
            errno.EDQUOT: "your quota is used up: free some space and run the same command again",
            errno.EROFS: "the store is read-only: choose another with --store",
            errno.EACCES: "no permission to write here: choose another store with --store",
        }.get(error.errno or 0, error.strerror or str(error))
        message = f"{path}: {advice}"
        raise StoreError(message) from error
