"""What the file system of a folder can do, found out by doing it there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pipeline.disk import Disk
from pipeline.errors import StoreError

State: TypeAlias = Literal["ok", "note", "fails"]

_TIMES = 100
"""Repetitions of what must never go wrong; the chance of a race grows with them."""
_LOW_BYTES = 1 << 30
_LOW_INODES = 10_000
_CLOCKS_APART = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a store needs of its file system."""

    name: str
    state: State
    """``fails``: a store is not safe here; ``note``: it is, and this is worth knowing."""
    detail: str


def probe(folder: Path) -> list[Finding]:
    """Return what the file system of `folder` can do; nothing stays there.

    A folder that does not exist is probed where it would be made. What happens between several
    hosts cannot be found out from one of them.
    """
    place = _existing(folder)
    found = [_space(place), _inodes(place), _modes(place), _kind(place)]
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".medshards-probe-", dir=place))
    except OSError as error:
        return [Finding("writable", "fails", f"{place}: {error.strerror}"), *found]
    try:
        found += [_tried(name, test, scratch / name) for name, test in _tests().items()]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return [Finding("writable", "ok", str(place)), *found]


def _tests() -> dict[str, Callable[[Path], Finding]]:
    """Return what is tried, each in a folder of its own, by the name of what it finds."""
    return {
        "replace": _replacing,
        "rename of folders": _renaming_folders,
        "hard links": _links,
        "O_EXCL": _exclusive,
        "fsync": _syncing,
        "flock": _locking,
        "names": _names,
        "clock": _clock,
    }


def _tried(name: str, test: Callable[[Path], Finding], folder: Path) -> Finding:
    try:
        folder.mkdir()
        return test(folder)
    except (OSError, StoreError) as error:
        return Finding(name, "fails", getattr(error, "strerror", None) or str(error))


def _replacing(folder: Path) -> Finding:
    """Replace a file again and again while another thread reads it."""
    path, sizes = folder / "file", (4096, 65536)
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    path.write_bytes(contents[0])
    torn: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                data = b""
            if data not in contents:
                torn.append(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(_TIMES):
            staged = folder / "staged"
            staged.write_bytes(contents[number % 2])
            staged.replace(path)
    finally:
        done.set()
        reader.join()
    if torn:
        return Finding("replace", "fails", f"a reader saw {len(torn)} files half-replaced")
    return Finding("replace", "ok", f"atomic in {_TIMES} replacements under a reader")


def _renaming_folders(folder: Path) -> Finding:
    """Rename a folder with files, and onto one that is not empty, which must be refused."""
    (folder / "a" / "below").mkdir(parents=True)
    (folder / "a" / "below" / "file").write_bytes(b"1")
    (folder / "a").rename(folder / "b")
    if (folder / "a").exists() or (folder / "b" / "below" / "file").read_bytes() != b"1":
        return Finding("rename of folders", "fails", "what was renamed is not where it should be")
    (folder / "c").mkdir()
    try:
        (folder / "b").rename(folder / "c")  # empty: POSIX replaces it
        (folder / "d").mkdir()
        (folder / "d" / "file").write_bytes(b"2")
        (folder / "c").rename(folder / "d")
    except OSError:
        return Finding("rename of folders", "ok", "whole, and never over a folder with files")
    return Finding("rename of folders", "fails", "a folder with files was replaced")


def _links(folder: Path) -> Finding:
    """Publish by a hard link, which refuses a name that exists."""
    (folder / "one").write_bytes(b"1")
    (folder / "two").write_bytes(b"2")
    try:
        os.link(folder / "one", folder / "final")
    except OSError as error:
        detail = f"none here ({error.strerror}): shards are published by rename instead"
        return Finding("hard links", "note", detail)
    try:
        os.link(folder / "two", folder / "final")
    except FileExistsError:
        return Finding("hard links", "ok", "and a name that exists is refused")
    return Finding("hard links", "fails", "a link replaced a file that existed")


def _exclusive(folder: Path) -> Finding:
    """Let several threads create one file at the same time: exactly one may."""

    def create(path: Path) -> int:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        for number in range(_TIMES // 4):
            path = folder / str(number)
            winners = sum(pool.map(create, [path] * 8))
            if winners != 1:
                return Finding("O_EXCL", "fails", f"{winners} of 8 created the same file")
    return Finding("O_EXCL", "ok", f"one of 8 in {_TIMES // 4} races")


def _syncing(folder: Path) -> Finding:
    """Write a file and make it and its folder durable."""
    started = time.perf_counter()
    disk = Disk()
    for number in range(5):
        disk.write(folder / str(number), [b"x" * 4096])
    disk.sync_folder(folder)
    milliseconds = (time.perf_counter() - started) * 1000 / 6
    return Finding("fsync", "ok", f"files and folders, {milliseconds:.1f} ms each")


def _locking(folder: Path) -> Finding:
    """Take a lock that another open file must then be refused."""
    path = folder / "lock"
    with path.open("wb") as first, path.open("r+b") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding("flock", "ok", "on this host; between hosts it cannot be told from one")
    return Finding("flock", "fails", "two held one lock: writers cannot tell of each other")


def _names(folder: Path) -> Finding:
    """Write names with spaces, letters beyond ASCII, and of the greatest usual length."""
    wanted = ("with space", "Größe-图像", "x" * 255)
    for name in wanted:
        (folder / name).write_bytes(b"")
    if {path.name for path in folder.iterdir()} != set(wanted):
        return Finding("names", "note", "names come back in another form than they were written")
    (folder / "case").write_bytes(b"")
    if (folder / "CASE").exists():
        return Finding("names", "note", "capitals do not count here")
    return Finding("names", "ok", "spaces, Unicode, 255 bytes, capitals count")


def _clock(folder: Path) -> Finding:
    """Compare the time that files get with this host's."""
    (folder / "file").write_bytes(b"")
    apart = (folder / "file").stat().st_mtime - time.time()
    state: State = "ok" if abs(apart) < _CLOCKS_APART else "note"
    return Finding("clock", state, f"files are {abs(apart):.1f} s from this host's time")


def _space(place: Path) -> Finding:
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    state: State = "ok" if free >= _LOW_BYTES else "note"
    return Finding("free space", state, f"{free / 1e9:.1f} GB")


def _inodes(place: Path) -> Finding:
    status = os.statvfs(place)
    if not status.f_files:
        return Finding("free inodes", "ok", "not counted by this file system")
    state: State = "ok" if status.f_favail >= _LOW_INODES else "note"
    return Finding("free inodes", state, f"{status.f_favail}")


def _modes(place: Path) -> Finding:
    """Tell who may write here, and whether what is made stays with the group."""
    umask = os.umask(0)
    os.umask(umask)
    mode = place.stat().st_mode
    shared = mode & stat.S_IWGRP and not mode & stat.S_IWOTH  # the latter is no lab's folder
    detail = f"mode {stat.S_IMODE(mode):04o}, umask {umask:04o}"
    if not shared:
        return Finding("group", "ok", f"{detail}: not a group's folder")
    faults = [] if mode & stat.S_ISGID else [f"no setgid: chmod g+s {place}"]
    faults += ["umask takes the group's right to write: umask 002"] if umask & 0o020 else []
    if faults:
        return Finding("group", "note", f"{detail}: shared with the group; {'; '.join(faults)}")
    return Finding("group", "ok", f"{detail}: shared with the group")


def _kind(place: Path) -> Finding:
    """Name the file system, as far as this host tells."""
    mounts = Path("/proc/self/mounts")
    best = ("", "unknown")
    with contextlib.suppress(OSError):
        for line in mounts.read_text().splitlines():
            _, point, kind, *_ = line.split(" ")
            point = point.replace("\\040", " ")
            if place.is_relative_to(point) and len(point) >= len(best[0]):
                best = point, kind
    return Finding("file system", "ok", f"{best[1]} at {best[0]}" if best[0] else best[1])


def _existing(folder: Path) -> Path:
    place = folder.absolute()
    while not place.is_dir():
        place = place.parent
    return place
