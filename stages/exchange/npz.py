"""npz files written and read a few rows at a time; never a pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

_DAY = (1980, 1, 1, 0, 0, 0)
"""Written as the time of every member, so that the same arrays are the same bytes."""


@dataclass(frozen=True)
class Member:
    """An array of an npz, of which the rows come in parts."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    parts: Iterable[NDArray[Any]]


def whole(name: str, array: NDArray[Any]) -> Member:
    """Return a member of an array that is in memory."""
    return Member(name, array.dtype, array.shape, [array])


def write_npz(path: Path, members: Sequence[Member]) -> None:
    """Write an uncompressed npz, as `numpy.savez` does, from parts.

    Raises
    ------
    DataError
        If the parts of a member have not its shape.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            info = zipfile.ZipInfo(f"{member.name}.npy", _DAY)
            with archive.open(info, "w", force_zip64=True) as file:
                _write_array(file, member, path)


def _write_array(file: IO[bytes], member: Member, path: Path) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(member.dtype),
        "fortran_order": False,
        "shape": member.shape,
    }
    np.lib.format.write_array_header_1_0(file, described)
    rows = 0
    for part in member.parts:
        if part.dtype != member.dtype or part.shape[1:] != member.shape[1:]:
            message = f"{path}: {member.name}: a part is {part.dtype} {part.shape}"
            raise DataError(message)
        rows += len(part)
        file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    if rows != member.shape[0]:
        message = f"{path}: {member.name}: {rows} rows instead of {member.shape[0]}"
        raise DataError(message)


@dataclass(frozen=True)
class Stored:
    """An array in an npz file: what its header says."""

    path: Path
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.name}"

    def parts(self, start: int, stop: int, at_once: int = 16 << 20) -> Iterator[NDArray[Any]]:
        """Yield rows `start` to `stop` in order, in parts of about `at_once` bytes."""
        row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        step = max(1, at_once // max(1, row))
        with _opened(self.path) as archive, archive.open(f"{self.name}.npy") as file:
            _header(file, self.path, self.name)
            file.seek(file.tell() + start * row)
            for first in range(start, stop, step):
                count = min(step, stop - first)
                data = _read(file, count * row, self)
                yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

    def read(self) -> NDArray[Any]:
        """Return the whole array."""
        return np.concatenate([*self.parts(0, self.shape[0])]) if self.shape[0] else self._none()

    def _none(self) -> NDArray[Any]:
        return np.empty(self.shape, self.dtype)


def stored(path: Path, name: str) -> Stored:
    """Return an array of an npz file, of which only the header is read.

    Raises
    ------
    DataError
        If the file is no npz, lacks the array, or the array holds Python objects (a pickle).
    """
    with _opened(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            found = ", ".join(sorted(one.removesuffix(".npy") for one in archive.namelist()))
            message = f"{path}: has no array {name!r}; it has {found or 'nothing'}"
            raise DataError(message)
        with archive.open(f"{name}.npy") as file:
            return _header(file, path, name)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        message = f"{path}: not an npz file: {error}"
        raise DataError(message) from error


def _header(file: IO[bytes], path: Path, name: str) -> Stored:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(file)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        message = f"{path}: {name}: not an npy array: {error}"
        raise DataError(message) from error
    if dtype.hasobject:
        message = f"{path}: {name}: holds Python objects (a pickle), which are never loaded"
        raise DataError(message)
    if not shape or (fortran and len(shape) > 1):
        message = f"{path}: {name}: has shape {shape}{' in Fortran order' * fortran}, not rows"
        raise DataError(message)
    return Stored(path, name, dtype, shape, fortran)


def _read(file: IO[bytes], count: int, of: Stored) -> bytes:
    try:
        data = file.read(count)
    except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
        message = f"{of}: cannot be read: {error}"
        raise DataError(message) from error
    if len(data) != count:
        message = f"{of}: ends before its last row"
        raise DataError(message)
    return data
