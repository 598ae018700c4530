"""Bytes on their way: counted, digested, and refused at the end unless they are as promised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import blake3

from pipeline.patience import Patience
from pipeline.sharing.trouble import RemoteError

PIECE = 4 << 20
"""Bytes that are read or sent at once."""

T = TypeVar("T")


def file_pieces(path: Path) -> Iterator[bytes]:
    """Yield the content of a local file.

    Raises
    ------
    RemoteError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise RemoteError(reason, final=True) from error


class Checked:
    """Passes pieces on, and raises at the end unless size and blake3 are the promised ones.

    Raises
    ------
    RemoteError
        While it is iterated: as soon as there is one byte too many, or at the end.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        nbytes: int,
        digest: str,
        patience: Patience,
        told: Callable[[int], None] = lambda _: None,
        *,
        sha256: bool = False,
    ) -> None:
        self._pieces = pieces
        self._promised = (nbytes, digest)
        self._patience = patience
        self._told = told
        self._sha256 = hashlib.sha256() if sha256 else None

    def __iter__(self) -> Iterator[bytes]:
        hasher = blake3.blake3()
        nbytes, digest = self._promised
        size = 0
        for piece in self._pieces:
            self._patience.require_going()
            size += len(piece)
            if size > nbytes:
                reason = f"more than the promised {nbytes} bytes"
                raise RemoteError(reason, wrong=True)
            hasher.update(piece)
            if self._sha256 is not None:
                self._sha256.update(piece)
            self._told(len(piece))
            yield piece
        if size < nbytes:
            reason = f"cut short: {size} of {nbytes} bytes"
            raise RemoteError(reason, wrong=True)
        if hasher.hexdigest() != digest:
            raise RemoteError("its bytes do not match the promised digest", wrong=True)

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of what has passed; empty unless it was asked for."""
        return self._sha256.hexdigest() if self._sha256 is not None else ""


def bounded(pieces: Iterable[bytes], limit: int) -> bytes:
    """Return all pieces as one.

    Raises
    ------
    RemoteError
        If they are longer than `limit` bytes.
    """
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > limit:
            reason = f"longer than {limit} bytes, which nothing of its kind is"
            raise RemoteError(reason, final=True, wrong=True)
    return bytes(found)
