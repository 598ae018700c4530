"""One pass over a file: is it as promised, and which items in it are not.

Light to import, as processes of their own may do it: items of a few kilobytes are digested one by
one, which threads of one interpreter cannot do at the same time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import blake3

_PIECE = 1 << 22
_DIGEST = 32
_SMALL_ITEM = 1 << 16
"""Bytes; larger items are digested without the interpreter's lock for nearly all of the time."""
_WORTH_PROCESSES = 128 << 20
"""Bytes of small items; below, starting processes takes longer than they save."""


@dataclass(frozen=True, slots=True)
class Items:
    """Where the items of a file lie and what their digests are."""

    sizes: Sequence[int]
    """Bytes of each, in order from the beginning of the file."""
    gap: int
    """Bytes between the end of one and the beginning of the next."""
    digests: bytes
    """The blake3 of each, 32 bytes, one after another."""

    @property
    def are_small(self) -> bool:
        """Whether digesting them costs more in calls than in work."""
        return bool(self.sizes) and sum(self.sizes) < _SMALL_ITEM * len(self.sizes)


@dataclass(frozen=True, slots=True)
class Pass:
    """What was found."""

    size: int
    digest: str
    differing: tuple[int, ...]
    """Numbers of the items that do not have their digests."""


def pass_over(path: Path, items: Items | None = None) -> Pass:
    """Read a file once, in pieces of a few megabytes, and never map it."""
    hasher = blake3.blake3()
    differing: list[int] = []
    size = 0
    with path.open("rb", buffering=0) as file:
        if items is not None:
            for first, sizes in _blocks(items):
                block = _exactly(file.fileno(), sum(sizes) + items.gap * len(sizes))
                hasher.update(block)
                size += len(block)
                differing += _differing(block, first, sizes, items)
        while piece := file.read(_PIECE):
            hasher.update(piece)
            size += len(piece)
    return Pass(size, hasher.hexdigest(), tuple(differing))


def _blocks(items: Items) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield the number of the first and the sizes of items that are read at once."""
    first, nbytes = 0, 0
    for number, size in enumerate(items.sizes):
        if nbytes and nbytes + size > _PIECE:
            yield first, items.sizes[first:number]
            first, nbytes = number, 0
        nbytes += size + items.gap
    if first < len(items.sizes):
        yield first, items.sizes[first:]


def _exactly(file: int, nbytes: int) -> bytearray:
    """Read `nbytes` or as many as there are."""
    block = bytearray(nbytes)
    view, done = memoryview(block), 0
    while done < nbytes and (got := os.readv(file, [view[done:]])):
        done += got
    view.release()
    del block[done:]
    return block


def _differing(block: bytearray, first: int, sizes: Sequence[int], items: Items) -> list[int]:
    view = memoryview(block)
    digest = blake3.blake3
    found, start = [], 0
    for size in sizes:
        found.append(digest(view[start : start + size]).digest())
        start += size + items.gap
    expected = items.digests[first * _DIGEST : (first + len(sizes)) * _DIGEST]
    if b"".join(found) == expected:
        return []
    return [
        first + number
        for number, one in enumerate(found)
        if one != expected[number * _DIGEST : (number + 1) * _DIGEST]
    ]


class Passes:
    """Passes over many files: of large items here, of small ones in processes if that pays."""

    def __init__(self, processes: int = 0) -> None:
        self._processes = processes
        self._lock = threading.Lock()
        self._small = 0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def over(self, path: Path, items: Items | None = None) -> Pass:
        """Return what a pass over a file finds; called by several threads."""
        pool = self._pool_for(items) if items is not None and items.are_small else None
        if pool is not None:
            try:
                return pool.submit(pass_over, path, items).result()
            except BrokenProcessPool:  # one was killed: the rest is done here
                self._processes = 0
        return pass_over(path, items)

    def _pool_for(self, items: Items) -> ProcessPoolExecutor | None:
        """Return the processes, started once there is enough for them to do."""
        with self._lock:
            self._small += sum(items.sizes)
            if self._processes < 2 or self._small < _WORTH_PROCESSES:
                return None
            if self._pool is None:
                context = multiprocessing.get_context("spawn")  # this process has threads
                self._pool = ProcessPoolExecutor(self._processes, context, _leave_to_parent)
            return self._pool


def _leave_to_parent() -> None:
    """Let only the parent answer to an interruption from the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
