"""Checked reading of npy files: shape and dtype from the header, rows through a short-lived map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

SMALL = 4096
"""Files up to this many bytes are read, not mapped."""


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Rows of an npy file of images, (N, H, W) or (N, H, W, C) uint8, given as (n, H, W, C)."""

    path: Path

    def __call__(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return a copy of the rows; the map is dropped at once, so that memory stays flat."""
        rows: NDArray[np.uint8] = np.array(array(self.path)[start:stop])
        return rows[..., None] if rows.ndim == 3 else rows


def array(path: Path) -> NDArray[np.generic]:
    """Return the array in `path`, mapped read-only (an empty one is read).

    NumPy compares the file's size with the header before it maps, so a truncated file is an
    error here and not a killed process later.

    Raises
    ------
    DataError
        When the file is missing, is not an npy file, is truncated or holds Python objects.
    """
    try:
        # An array without any element cannot be mapped; its file is little more than a header.
        mode: Literal["r"] | None = "r" if path.stat().st_size > SMALL else None
        _require_whole(path)
        mapped: object = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError as error:
        message = f"{path} is missing"
        raise DataError(message) from error
    except (OSError, ValueError, EOFError) as error:
        message = f"{path}: not a whole npy file of numbers: {error}"
        raise DataError(message) from error
    if not isinstance(mapped, np.ndarray) or mapped.dtype.hasobject:
        message = f"{path}: not an array of numbers"
        raise DataError(message)
    return mapped


def _require_whole(path: Path) -> None:
    """Compare the size of an npy file with its header before memory is taken for its array."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            return  # of the third, field names in Unicode, are no arrays of numbers
        needed = math.prod(shape) * dtype.itemsize
        found = path.stat().st_size - file.tell()
    if not dtype.hasobject and found < needed:
        message = f"{found} bytes of data instead of {needed}"
        raise ValueError(message)


def image_rows(path: Path, shape: tuple[int, int], channels: int) -> tuple[ImageRows, int]:
    """Return the reader of an npy file of images and their number.

    Raises
    ------
    DataError
        When they are not uint8 of the declared height, width and channels.
    """
    images = array(path)
    _check_dtype(path, images)
    shapes: set[tuple[int, ...]] = {(*shape, channels), *([shape] if channels == 1 else [])}
    if images.ndim == 0 or images.shape[1:] not in shapes:
        expected = " or ".join(str(("N", *one)).replace("'", "") for one in sorted(shapes))
        message = f"{path}: images have shape {images.shape}, not {expected}"
        raise DataError(message)
    return ImageRows(path), images.shape[0]


def class_labels(path: Path) -> NDArray[np.int64]:
    """Return the labels in an npy file of shape (N,) or (N, 1) as int64 (N,).

    Raises
    ------
    DataError
        When they are not integers, or a sample has several.
    """
    labels = array(path)
    if not np.issubdtype(labels.dtype, np.integer):
        message = f"{path}: labels are {labels.dtype}, not integers"
        raise DataError(message)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        message = f"{path}: labels have shape {labels.shape}; one label per sample is needed"
        raise DataError(message)
    return labels.astype(np.int64)


def class_flags(path: Path, classes: int) -> NDArray[np.int64]:
    """Return the labels in an npy file of shape (N, L), L being `classes`, as int64 (N, L).

    Raises
    ------
    DataError
        When they are not integers, or there is not one per class.
    """
    flags = array(path)
    if not (np.issubdtype(flags.dtype, np.integer) or flags.dtype == np.bool_):
        message = f"{path}: labels are {flags.dtype}, not integers"
        raise DataError(message)
    if flags.ndim != 2 or flags.shape[1] != classes:
        message = f"{path}: labels have shape {flags.shape}, not (N, {classes}): one per class"
        raise DataError(message)
    return flags.astype(np.int64)


def _check_dtype(path: Path, images: NDArray[np.generic]) -> None:
    if images.dtype == np.uint8:
        return
    if np.issubdtype(images.dtype, np.floating):
        for row, image in enumerate(images):
            if np.isnan(image).any():
                message = f"{path}: NaN in an image (row {row}); images are uint8"
                raise DataError(message)
    message = f"{path}: images are {images.dtype}, not uint8"
    raise DataError(message)
