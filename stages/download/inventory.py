"""What a folder holds: every file with its size and digest."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from pipeline.digest import digest_bytes, digest_file
from pipeline.errors import DataError
from pipeline.files import write_whole

RECENT_NS = 2_000_000_000
"""A file changed this recently may change again within one tick of the file system's clock."""


class InventoryEntry(NamedTuple):
    """One file of a folder."""

    path: str
    """Path below the folder, with slashes."""
    size: int
    """Length in bytes."""
    blake3: str
    """Hexadecimal BLAKE3 of its content."""


def inventory(root: Path, memory: Path | None = None) -> list[InventoryEntry]:
    """Return every file below `root`, sorted by path, with size and digest.

    The digests of files whose inode, size and time of change are known from an earlier call are
    taken from `memory`, a JSON file that only saves time: it may be lost or deleted at any moment.

    Parameters
    ----------
    root
        The folder. Hidden files and folders (names that begin with a dot) are left out.
    memory
        Default: a file for this folder in the user's cache folder.

    Raises
    ------
    DataError
        When the folder is missing, holds a link to a folder, or a file cannot be read.
    """
    memory = memory or _default_memory(root)
    known = _recall(memory)
    seen: dict[str, str] = {}
    entries = []
    for path in files_below(root):
        try:
            status = (root / path).stat()
            mark = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
            digest = known.get(mark) or digest_file(root / path)
        except OSError as error:
            message = f"{root / path}: cannot be read: {error.strerror}"
            raise DataError(message) from error
        if time.time_ns() - status.st_mtime_ns > RECENT_NS:
            seen[mark] = digest
        entries.append(InventoryEntry(path, status.st_size, digest))
    if seen != known:
        _remember(memory, seen)
    return entries


def files_below(root: Path) -> list[str]:
    """Return the paths of all files below `root`, with slashes, sorted; hidden ones are left out.

    Raises
    ------
    DataError
        When `root` is not a folder, or a folder below it is a link: what lies behind one could
        change without the folder changing.
    """
    if not root.is_dir():
        message = f"{root}: there is no such folder"
        raise DataError(message)
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in below:
            if Path(folder, name).is_symlink():
                message = f"{Path(folder, name)}: is a link to a folder; put the files there"
                raise DataError(message)
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(path.relative_to(root).as_posix() for path in found)


def _default_memory(root: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "medshards" / f"inventory-{digest_bytes(os.fsencode(root.resolve()))[:16]}.json"


def _recall(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(memory: Path, seen: dict[str, str]) -> None:
    with contextlib.suppress(OSError):
        write_whole({memory: json.dumps(seen).encode()})
