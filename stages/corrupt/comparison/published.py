"""The layouts in which corrupted sets were published, read row by row from npz files.

`RobustMedCLIP` keeps ``<root>/<dataset>/<split>/clean.npz`` and
``<corruption>_severity_<1..5>.npz`` with ``images`` and ``labels``; MedMNIST-C keeps
``<root>/<dataset>/<corruption>.npz`` with ``test_images``, five severities one after another.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.corrupt.kernels.kernel import Images
from stages.vocabulary import SEVERITIES

CLEAN = "clean.npz"
LAYOUTS = (
    "expected <corruption>_severity_<1..5>.npz with the arrays images and labels (RobustMedCLIP),"
    " or <corruption>.npz with the array test_images, five severities one after another"
    " (MedMNIST-C), in the folder itself or in <dataset>/<split> or <dataset> below it"
)
_SEVERITY_FILE = re.compile(r"(?P<corruption>[A-Za-z0-9_-]+)_severity_(?P<severity>[1-5])\.npz")
_FAULTS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, slots=True)
class ImageMember:
    """Images in one member of an npz file, of which chosen rows are read."""

    path: Path
    key: str
    shape: tuple[int, int, int, int]
    """(N, H, W, C), C = 1 or 3."""

    def rows(self, rows: Sequence[int]) -> Images:
        """Return the images at `rows`, (n, H, W, C) uint8, holding no others in memory.

        A compressed member is decompressed once, up to the last row asked for.

        Raises
        ------
        DataError
            If the file is cut short or damaged.
        """
        size = math.prod(self.shape[1:])
        found = np.empty((len(rows), size), np.uint8)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.key}.npy") as member:
                _header(member)
                first = member.tell()
                for position in np.argsort(rows, kind="stable"):
                    member.seek(first + rows[position] * size)
                    found[position] = _read(member, size, rows[position])
        except _FAULTS as error:
            message = f"{self.path}: {self.key}: cannot be read: {error}"
            raise DataError(message) from error
        return found.reshape(len(rows), *self.shape[1:])


def _read(member: IO[bytes], size: int, row: int) -> NDArray[np.uint8]:
    content = member.read(size)
    if len(content) != size:
        message = f"it ends before image {row}"
        raise EOFError(message)
    return np.frombuffer(content, np.uint8)


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """One corruption at one severity, somewhere in a member of an npz file."""

    corruption: str
    severity: int
    images: ImageMember
    first: int
    """Row of the member at which the set begins."""
    count: int
    """Number of images."""

    def rows(self, rows: Sequence[int]) -> Images:
        """Return the images at `rows` of the set, (n, H, W, C) uint8."""
        return self.images.rows([self.first + row for row in rows])


@dataclass(frozen=True, slots=True)
class PublishedFolder:
    """A folder of published sets."""

    path: Path
    layout: str
    """``robustmedclip`` or ``medmnist-c``."""
    sets: tuple[PublishedSet, ...]
    clean: Path | None
    """The clean images that lie beside the sets."""


def open_folder(path: Path, dataset: str | None, split: str) -> PublishedFolder:
    """Return the sets in `path`, or in the folder of `dataset` and `split` below it.

    Raises
    ------
    UsageError
        If there are no sets in a known layout, or in several folders.
    DataError
        If a file is not what its layout says (keys, dtype, shape, number of images).
    """
    folder = _folder(path, dataset, split)
    severities = {name: match for name in _npz(folder) if (match := _SEVERITY_FILE.fullmatch(name))}
    if severities:
        sets = [
            PublishedSet(match["corruption"], int(match["severity"]), images, 0, images.shape[0])
            for name, match in severities.items()
            for images in [open_images(folder / name, ("images",))]
        ]
        layout = "robustmedclip"
    else:
        names = [name for name in _npz(folder) if name != CLEAN]
        sets = [one for name in names for one in _concatenated(folder / name)]
        layout = "medmnist-c"
    clean = folder / CLEAN
    return PublishedFolder(folder, layout, tuple(sets), clean if clean.is_file() else None)


def open_images(path: Path, keys: Sequence[str]) -> ImageMember:
    """Return the images of an npz file under the first of `keys` that it has.

    Raises
    ------
    DataError
        If it is no npz file, has none of the keys, or they are not images of bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            present = [Path(name).stem for name in archive.namelist()]
            key = next((key for key in keys if key in present), None)
            if key is None:
                message = (
                    f"{path}: no array {' or '.join(keys)}; the file has "
                    f"{', '.join(sorted(present)) or 'none'}"
                )
                raise DataError(message)
            with archive.open(f"{key}.npy") as member:
                shape, by_columns, dtype = _header(member)
    except _FAULTS as error:
        message = f"{path}: not a whole npz file: {error}"
        raise DataError(message) from error
    fault = ""
    if dtype != np.uint8:
        fault = f"images are {dtype}, not uint8"
    elif len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape:
        fault = f"images have shape {shape}, not (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
    elif by_columns:
        fault = "images are stored in Fortran order; save numpy.ascontiguousarray(images)"
    if fault:
        message = f"{path}: {key}: {fault}"
        raise DataError(message)
    count, height, width, *channels = shape
    return ImageMember(path, key, (count, height, width, channels[0] if channels else 1))


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Read the header of an npy file: its shape, whether by columns, its dtype."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    found: tuple[tuple[int, ...], bool, np.dtype[np.generic]] = read(member)
    return found


def _concatenated(path: Path) -> list[PublishedSet]:
    images = open_images(path, ("test_images",))
    count, left = divmod(images.shape[0], len(SEVERITIES))
    if left:
        message = (
            f"{path}: test_images has {images.shape[0]} images, which is not {len(SEVERITIES)}"
            " severities of as many each"
        )
        raise DataError(message)
    return [
        PublishedSet(path.stem, severity, images, (severity - 1) * count, count)
        for severity in SEVERITIES
    ]


def _folder(path: Path, dataset: str | None, split: str) -> Path:
    if not path.is_dir():
        message = f"{path}: there is no such folder"
        raise UsageError(message)
    places = [path]
    if dataset is not None:
        places = [path / dataset / split, path / dataset, path / split, path]
    for place in places:
        if _has_sets(place):
            return place
    below = sorted(
        one for pattern in ("*", f"*/{split}") for one in path.glob(pattern) if _has_sets(one)
    )
    if len(below) == 1 and dataset is None:
        return below[0]
    if below:
        found = ", ".join(str(one.relative_to(path)) for one in below)
        wanted = "name the folder of one" if dataset is None else f"none is named {dataset!r}"
        message = f"{path}: sets lie in {found}; {wanted}"
        raise UsageError(message)
    message = f"{path}: no sets in a known layout; {LAYOUTS}"
    raise UsageError(message)


def _npz(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".npz")


def _has_sets(folder: Path) -> bool:
    """Whether a folder is in one of the layouts, judged by the names of arrays in npz files."""
    names = [name for name in _npz(folder) if name != CLEAN]
    if any(_SEVERITY_FILE.fullmatch(name) for name in names):
        return True
    return bool(names) and any(_has_test_images(folder / name) for name in names)


def _has_test_images(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "test_images.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
