"""The unfinished file beside a target: grown, digested, checked, then renamed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

import blake3

from pipeline.disk import Disk, reported
from pipeline.errors import HeldError, VerificationError
from stages.download.sources import Promise

PIECE = 1 << 20
"""Bytes read, digested and written at a time."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Hexadecimal digests and length of one file."""

    md5: str
    sha256: str
    blake3: str
    size: int
    """Length in bytes."""

    def fault(self, promise: Promise) -> str | None:
        """Return the first difference from `promise`, in words, or None."""
        if promise.size_bytes is not None and promise.size_bytes != self.size:
            return f"expected {promise.size_bytes} bytes, got {self.size}"
        own = asdict(self)
        for name, expected in promise.digests().items():
            if own[name] != expected:
                return f"expected {name} {expected}, got {own[name]}"
        return None


class Digester:
    """Digests bytes as they pass; MD5 is here because Zenodo publishes nothing else."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3.blake3()
        self.size = 0

    def update(self, piece: bytes) -> None:
        """Take in the next bytes."""
        self._md5.update(piece)
        self._sha256.update(piece)
        self._blake3.update(piece)
        self.size += len(piece)

    def digests(self) -> Digests:
        """Return the digests of everything taken in so far."""
        return Digests(
            self._md5.hexdigest(), self._sha256.hexdigest(), self._blake3.hexdigest(), self.size
        )


def digest(path: Path) -> Digests:
    """Return the digests of a whole file, read in pieces."""
    digester = Digester()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digester.update(piece)
    return digester.digests()


class Part:
    """`<target>.part`, held by one process at a time.

    What an interrupted transfer left is digested again on entry, so that the digests at the end
    cover every byte of the file. A small `<target>.part.json` remembers which version of which
    address the bytes belong to.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._memory = target.with_name(f"{target.name}.part.json")
        self._digester = Digester()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        Disk().make_folder(self.target.parent)
        with reported(self.path):
            self._file = self.path.open("a+b")
        try:
            self._hold()
            self._file.seek(0)
            while piece := self._file.read(PIECE):
                self._digester.update(piece)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with reported(self.path):
            # An empty part is no use to the next attempt. It goes while it is still held: the
            # next holder must not find its file gone.
            if self.size == 0:
                self.path.unlink(missing_ok=True)
                self._memory.unlink(missing_ok=True)
            self._open_file().close()

    @property
    def size(self) -> int:
        """Number of bytes held so far."""
        return self._digester.size

    def write(self, piece: bytes) -> None:
        """Append `piece` and digest it."""
        with reported(self.path):
            self._open_file().write(piece)
        self._digester.update(piece)

    def restart(self) -> None:
        """Drop everything held so far."""
        with reported(self.path):
            self._open_file().truncate(0)
            self._memory.unlink(missing_ok=True)
        self._digester = Digester()

    def remember(self, address: str, validator: str | None) -> None:
        """Note which version (a strong ETag or a Last-Modified) of `address` the bytes are."""
        with reported(self._memory):
            self._memory.write_text(json.dumps({"address": address, "validator": validator}))

    def validator(self, address: str) -> str | None:
        """Return the noted version if the bytes came from `address`."""
        try:
            memory = json.loads(self._memory.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(memory, dict) or memory.get("address") != address:
            return None
        validator = memory.get("validator")
        return validator if isinstance(validator, str) else None

    def finish(self, promise: Promise, origin: str) -> Digests:
        """Check the bytes against `promise` and rename them into place, durably.

        Raises
        ------
        VerificationError
            When they differ; nothing is kept.
        """
        digests = self._digester.digests()
        if fault := digests.fault(promise):
            self.restart()
            raise VerificationError(wrong_bytes(self.target, fault, origin, "It was not kept"))
        with reported(self.target):
            file = self._open_file()
            file.flush()
            os.fsync(file.fileno())
            self.path.replace(self.target)
            Disk().sync_folder(self.target.parent)
            self._memory.unlink(missing_ok=True)
        return digests

    def _hold(self) -> None:
        file = self._open_file()
        message = f"{self.target}: another process is fetching it; run again when it is done"
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldError(message) from error
        except OSError:
            # A file system without locks: the digest at the end still catches mixed bytes.
            return
        # The holder may have finished and renamed its file between our open and our lock.
        if not self.path.exists() or self.path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            raise HeldError(message)

    def _open_file(self) -> BinaryIO:
        if self._file is None:
            message = "a Part is used inside its with block"
            raise RuntimeError(message)
        return self._file


def wrong_bytes(path: Path, fault: str, origin: str, fate: str) -> str:
    """Return the message for a file whose bytes differ from what was promised."""
    return (
        f"{path.name}: {fault} (from {origin}). {fate}. If the transfer was damaged, run again; "
        "if this is another version of the file, describe it in a manifest of your own"
    )
