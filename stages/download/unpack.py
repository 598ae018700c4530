"""Unpacking zip archives whole or not at all; an npz is a zip of npy files."""

from __future__ import annotations

import lzma
import os
import secrets
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TypeAlias

from pipeline.disk import Disk, reported
from pipeline.errors import DataError, StoreError
from stages.download.part import PIECE

Choice: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
"""Chooses, from the names of all files in an archive, those to unpack."""

LARGEST_TOTAL = 1 << 40
"""Most bytes an archive may unpack to (1 TiB); a published image collection stays far below."""

LARGEST_RATIO = 200
"""Most bytes that a byte of an archive may unpack to, once it is more than `SMALL_TOTAL`. Images
are packed already; blank masks reach a few hundred, in archives that stay small."""

SMALL_TOTAL = 1 << 30
"""Bytes that any archive may unpack to."""

MOST_FILES = 5_000_000
"""Most files and folders in an archive."""


def unpack(
    archive: Path,
    destination: Path,
    members: Choice | None = None,
    *,
    largest_total: int = LARGEST_TOTAL,
) -> tuple[Path, ...]:
    """Unpack `archive` so that `destination` exists only when it is whole.

    Files go to a fresh folder beside `destination`, each checked against the CRC and length that
    the archive records, fsynced, and the folder is then renamed. Arrays of an npz become npy
    files, which can be mapped row by row.

    Parameters
    ----------
    archive
        A zip or npz file.
    destination
        Folder to make, or an empty one. If it holds exactly these files and lengths already, it
        is kept.
    members
        Chooses the files to unpack; default: all.
    largest_total
        Most bytes that all chosen files may have together.

    Returns
    -------
    tuple of Path
        The unpacked files, in the order of their names.

    Raises
    ------
    DataError
        When the archive is truncated or damaged, names a path outside itself, a link or a name
        twice, is encrypted, unpacks to more than `largest_total` or to more than its size can
        hold, has parts that overlap or too many files, or has no chosen file.
    StoreError
        When the files cannot be written, do not fit the disk, or `destination` exists with other
        files.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_packing(archive, opened.infolist())
            entries = _chosen(archive, opened, members)
            _check_total(archive, entries, largest_total)
            if not destination.exists() or not any(destination.iterdir()):
                _check_space(destination, entries)
                _unpack_whole(archive, opened, entries, destination)
    except (zipfile.BadZipFile, EOFError) as error:
        message = f"{archive}: not a whole zip archive: {error}"
        raise DataError(message) from error
    return _existing(destination, entries)


def _chosen(
    archive: Path, opened: zipfile.ZipFile, members: Choice | None
) -> list[zipfile.ZipInfo]:
    files = {}
    for entry in opened.infolist():
        _check_entry(archive, entry)
        if entry.filename in files:
            message = f"{archive}: {entry.filename!r} is in the archive twice"
            raise DataError(message)
        if not entry.is_dir():
            files[entry.filename] = entry
    names = sorted(files) if members is None else members(sorted(files))
    if not names or not files.keys() >= set(names):
        absent = sorted(set(names) - files.keys())
        message = f"{archive}: it lacks {', '.join(absent) or 'any file'}"
        raise DataError(message)
    return [files[name] for name in sorted(names)]


def _check_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or not path.parts
    # Backslashes and drives would lead elsewhere on other systems.
    if outside or "\\" in name or "\0" in name or PureWindowsPath(name).drive:
        message = f"{archive}: refused: {name!r} would be written outside the folder"
        raise DataError(message)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        message = f"{archive}: refused: {name!r} is a link or a special file"
        raise DataError(message)
    if entry.flag_bits & 0x1:
        message = f"{archive}: {name!r} is encrypted"
        raise DataError(message)


def _check_packing(archive: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive of too many files, or whose files share the same packed bytes."""
    size = archive.stat().st_size
    if len(entries) > MOST_FILES:
        message = f"{archive}: refused: {len(entries)} files are more than {MOST_FILES}"
        raise DataError(message)
    if sum(entry.compress_size for entry in entries) > size:
        message = f"{archive}: refused: its files overlap, as in an archive made to fill the disk"
        raise DataError(message)


def _check_total(archive: Path, entries: Sequence[zipfile.ZipInfo], largest: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > largest:
        message = f"{archive}: refused: it unpacks to {total} bytes, more than {largest}"
        raise DataError(message)
    size = archive.stat().st_size
    if total > max(SMALL_TOTAL, LARGEST_RATIO * size):
        message = f"{archive}: refused: {size} bytes that unpack to {total} are no image collection"
        raise DataError(message)


def _check_space(destination: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    needed = sum(entry.file_size for entry in entries)
    Disk().make_folder(destination.parent)
    with reported(destination):
        status = os.statvfs(destination.parent)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        message = f"{destination}: unpacking needs {needed} bytes, the disk has {free} free"
        raise StoreError(message)
    if status.f_files and status.f_favail < len(entries):  # some file systems count none
        message = f"{destination}: {len(entries)} files to unpack, {status.f_favail} inodes free"
        raise StoreError(message)


def _unpack_whole(
    archive: Path,
    opened: zipfile.ZipFile,
    entries: Sequence[zipfile.ZipInfo],
    destination: Path,
) -> None:
    staging = destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.unpacking")
    try:
        for entry in entries:
            _unpack_one(archive, opened, entry, staging / entry.filename)
        with reported(destination):
            for folder in {staging / Path(entry.filename).parent for entry in entries}:
                Disk().sync_folder(folder)
            _publish(staging, destination)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack_one(archive: Path, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    try:
        with reported(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.open("xb")
    except FileExistsError as error:
        message = f"{archive}: two of its names become the same path here: {entry.filename!r}"
        raise DataError(message) from error
    written = 0
    with target:
        for piece in _pieces(archive, opened, entry):
            written += len(piece)
            with reported(path):
                target.write(piece)
        with reported(path):
            target.flush()
            os.fsync(target.fileno())
    if written != entry.file_size:
        message = f"{archive}: {entry.filename!r} has {written} bytes, not {entry.file_size}"
        raise DataError(message)


def _pieces(archive: Path, opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member's bytes; reading to the end makes `zipfile` check the CRC."""
    try:
        source: IO[bytes]
        with opened.open(entry) as source:
            while piece := source.read(PIECE):
                yield piece
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        message = f"{archive}: {entry.filename!r} is damaged: {str(error) or 'it ends too early'}"
        raise DataError(message) from error
    except NotImplementedError as error:
        message = f"{archive}: {entry.filename!r} is packed in an unknown way: {error}"
        raise DataError(message) from error


def _publish(staging: Path, destination: Path) -> None:
    try:
        staging.rename(destination)
    except OSError:
        # Another process was first; `_existing` checks that it has the same files.
        if not destination.is_dir():
            raise
    Disk().sync_folder(destination.parent)


def _existing(destination: Path, entries: Sequence[zipfile.ZipInfo]) -> tuple[Path, ...]:
    expected = {entry.filename: entry.file_size for entry in entries}
    found = {
        path.relative_to(destination).as_posix(): path.stat().st_size
        for path in destination.rglob("*")
        if path.is_file()
    }
    if found != expected:
        message = f"{destination}: holds other files than the archive; remove the folder"
        raise StoreError(message)
    return tuple(destination / name for name in sorted(expected))
