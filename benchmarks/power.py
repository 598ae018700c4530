"""A disk that logs what a store does, and what a power cut may leave of it.

A name is durable once its folder was synced after the name was made or changed; content is
durable once it was synced. Anything else may survive or not, each change for itself. That is
harsher than any real file system: these keep most changes in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pipeline.disk import Disk


@dataclass(frozen=True)
class Operation:
    """One change: ``mkdir``, ``create``, ``write``, ``link``, ``rename`` or ``sync``."""

    kind: str
    path: str
    """Below the store."""
    source: str = ""
    """The other path of a link or rename."""
    content: bytes = b""


class Log(list[Operation]):
    """What a store did, in order."""

    def __repr__(self) -> str:
        return f"<Log of {len(self)} operations>"


class StoppedError(BaseException):
    """Stands for a kill: nothing handles it, and the disk takes nothing more."""


class LoggingDisk(Disk):
    """Logs every operation; one at a time, so that the log is in the order of the changes."""

    def __init__(self, root: Path, log: Log, stop_before: int | None = None) -> None:
        self._root = root
        self._log = log
        self._stop = stop_before
        self._one = threading.RLock()
        self._unmade: list[Path] = []

    def make_folder(self, path: Path) -> None:
        """Make a folder and log those that were missing."""
        with self._one:
            below = [f for f in (path, *path.parents) if self._root in f.parents]
            self._unmade = [folder for folder in below if not folder.exists()]
            super().make_folder(path)
            self._log_made()

    def write(self, path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
        """Write a file; its name and its content may each be lost."""
        data = b"".join(pieces)
        with self._one:
            self._add("create", path, content=data)
            done = super().write(path, [data])
            self._add("write", path, content=data)
            return done

    def link(self, staged: Path, final: Path) -> None:
        """Publish a file."""
        with self._one:
            super().link(staged, final)
            self._add("link", final, staged)

    def replace(self, staged: Path, path: Path, data: bytes) -> None:
        """Replace a small file."""
        with self._one:
            self.write(staged, [data])
            staged.replace(path)
            self._add("rename", path, staged)
            self.sync_folder(path.parent)

    def sync_file(self, path: Path) -> None:
        """Make the content of a file durable."""
        with self._one:
            super().sync_file(path)
            self._add("write", path, content=path.read_bytes())

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        with self._one:
            self._log_made()
            if path.is_relative_to(self._root):
                self._add("sync", path)

    def _log_made(self) -> None:
        for folder in [folder for folder in reversed(self._unmade) if folder.exists()]:
            self._unmade.remove(folder)
            self._add("mkdir", folder)

    def _add(self, kind: str, path: Path, source: Path | None = None, content: bytes = b"") -> None:
        if len(self._log) == self._stop:
            raise StoppedError
        below = source.relative_to(self._root).as_posix() if source else ""
        name = path.relative_to(self._root).as_posix()
        self._log.append(Operation(kind, name, below, content))


@dataclass
class File:
    """A file, whatever its names."""

    content: bytes
    durable: bool = False


@dataclass
class Folder:
    """A folder: the names in it now, and those that a power cut leaves for certain."""

    names: dict[str, Entry] = field(default_factory=dict)
    durable: dict[str, Entry] = field(default_factory=dict)


Entry: TypeAlias = File | Folder
Tree: TypeAlias = dict[str, bytes | None]
"""Content of files and None for folders, by path."""


def after_power_cut(log: Sequence[Operation], survives: Callable[[], bool]) -> Tree:
    """Return what a power cut at the end of `log` leaves.

    `survives` is asked once for every change that was not synced.
    """
    root = Folder()
    for operation in log:
        _apply(root, operation)
    return dict(_left(root, "", survives))


def write_tree(tree: Tree, root: Path) -> None:
    """Make the folder `root` hold what a power cut left."""
    root.mkdir()
    for name, content in tree.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)


def _apply(root: Folder, operation: Operation) -> None:
    if operation.kind == "sync":
        folder = _at(root, operation.path)
        assert isinstance(folder, Folder)
        folder.durable = dict(folder.names)
        return
    parent, _, name = operation.path.rpartition("/")
    folder = _at(root, parent)
    assert isinstance(folder, Folder)
    match operation.kind:
        case "mkdir":
            folder.names.setdefault(name, Folder())
        case "create":
            folder.names[name] = File(operation.content)
        case "write":  # of a file that was written by other means, a new one
            folder.names[name] = File(operation.content, durable=True)
        case "link":
            folder.names[name] = _at(root, operation.source)
        case "rename":
            folder.names[name] = _at(root, operation.source)
            above, _, staged = operation.source.rpartition("/")
            del _at(root, above).names[staged]


def _at(root: Folder, path: str) -> Entry:
    """Return what lies at a path; folders in staging that no operation made are made."""
    entry: Entry = root
    for part in path.split("/") if path not in {"", "."} else []:
        assert isinstance(entry, Folder)
        entry = entry.names.setdefault(part, Folder())
    return entry


def _left(
    folder: Folder, prefix: str, survives: Callable[[], bool]
) -> Iterator[tuple[str, bytes | None]]:
    for name in sorted(folder.names.keys() | folder.durable.keys()):
        now, synced = folder.names.get(name), folder.durable.get(name)
        entry = now if now is synced or survives() else synced
        path = f"{prefix}{name}"
        if isinstance(entry, Folder):
            yield path, None
            yield from _left(entry, f"{path}/", survives)
        elif entry is not None:
            # Of content that was not synced a power cut may leave a part.
            yield path, entry.content if entry.durable else entry.content[: len(entry.content) // 2]
