"""Datasets of an HDF5 file, taken only where their data lie in the file itself.

The format lets a dataset be a link into another file, or keep its data in others. So a downloaded
file could make a program read any file of the machine it is opened on.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

LARGEST_RATIO = 1100
"""Most bytes that a byte of the file may stand for: deflate reaches 1032."""

SMALL = 64 << 20
"""Bytes that any dataset may have."""


def plain_dataset(path: Path, file: Any, name: str) -> Any:  # noqa: ANN401 - h5py has no types
    """Return the dataset `name` of an open file.

    Raises
    ------
    DataError
        When it, or a group on the way to it, is a soft or external link; when its data are in
        other files; when it says that it holds far more than the file; when it is no dataset.
    KeyError
        When there is nothing of that name.
    """
    place = file
    for part in name.split("/"):
        _require_own(path, place, part, name)
        place = place[part]
    if not hasattr(place, "dtype") or not hasattr(place, "id"):
        message = f"{path}: has no dataset named {name}"
        raise DataError(message)
    if place.is_virtual or place.external:
        message = f"{path}: refused: the data of {name} are in other files"
        raise DataError(message)
    claimed = math.prod(place.shape or ()) * place.dtype.itemsize
    size = path.stat().st_size
    if claimed > max(SMALL, LARGEST_RATIO * size):
        message = f"{path}: refused: its {size} bytes say that {name} holds {claimed}"
        raise DataError(message)
    return place


def _require_own(path: Path, group: Any, part: str, name: str) -> None:  # noqa: ANN401
    """Refuse a link, also one within the file, as the next may lead out of it."""
    from h5py import h5l

    links = getattr(getattr(group, "id", None), "links", None)
    if links is None or not links.exists(part.encode()):
        raise KeyError(part)
    if links.get_info(part.encode()).type != h5l.TYPE_HARD:
        message = f"{path}: refused: {name} is a link, which may lead into another file"
        raise DataError(message)
