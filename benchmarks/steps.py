"""A disk whose operations are taken step by step: before, within and after each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.disk import Disk


class SteppedDisk(Disk):
    """Calls `step` at every step.

    A sync changes nothing that another process sees, so what comes after it is the next step.
    """

    def step(self, moment: str, operation: str, path: Path) -> None:
        """Do something at a step: ``before``, ``within`` or ``after`` an operation on a path."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _around(self, operation: str, path: Path) -> Iterator[None]:
        self.step("before", operation, path)
        yield
        self.step("after", operation, path)

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        with self._around("make_folder", path):
            super().make_folder(path)

    def write(self, path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
        """Write a file in two pieces."""
        with self._around("write", path):
            return super().write(path, self._halves(path, b"".join(pieces)))

    def _halves(self, path: Path, data: bytes) -> Iterator[bytes]:
        yield data[: len(data) // 2]
        self.step("within", "write", path)
        yield data[len(data) // 2 :]

    def link(self, staged: Path, final: Path) -> None:
        """Publish a file."""
        with self._around("link", final):
            super().link(staged, final)

    def replace(self, staged: Path, path: Path, data: bytes) -> None:
        """Replace a small file."""
        with self._around("replace", path):
            super().replace(staged, path, data)

    def sync_file(self, path: Path) -> None:
        """Sync a file."""
        self.step("before", "sync_file", path)
        super().sync_file(path)

    def sync_folder(self, path: Path) -> None:
        """Sync a folder."""
        self.step("before", "sync_folder", path)
        super().sync_folder(path)
