"""What every form of segmentation dataset gives: entries, and the arrays of one entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol, TypeAlias
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.segmenting.meanings import Layer
from stages.download.segmenting.patterns import PICTURES

SUFFIXES = (".nii.gz", ".nii", ".mat", *sorted(PICTURES))
"""Suffixes of image files, in lower case; the longest that fits comes first."""

Status: TypeAlias = Literal["ok", "no-mask", "failed"]
NOTHING = (0, 0, 0)
"""Shape of an item that does not exist."""


class NoMaskError(DataError):
    """There is no mask for an image that must have one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image and what belongs to it, found by names alone."""

    path: str
    """The image's file, below the root."""
    masks: tuple[tuple[str, ...], ...] = ()
    """Files of each target, in the order of the targets."""
    listed_as: str = ""
    """How published lists name it, without suffix; left out: the stem of its file."""
    patient: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Attribute to word, as far as file names tell."""

    @property
    def stem(self) -> str:
        """Name of the file without its suffix, in Unicode's composed form."""
        return without_suffix(PurePosixPath(normalize("NFC", self.path)).name)

    @property
    def mask_paths(self) -> tuple[str, ...]:
        """All mask files, each once, in the order of the targets."""
        return tuple(dict.fromkeys(path for files in self.masks for path in files))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The arrays of one entry."""

    image: NDArray[np.uint8]
    """(H, W, 1 or 3)."""
    layers: tuple[Layer, ...]
    """One per target; none where the status is not ok."""
    status: Status = "ok"
    error: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Words that only the content of files tells."""
    patient: str | None = None

    @property
    def masks(self) -> NDArray[np.uint8]:
        """0 or 255, (H, W, T)."""
        return _stacked([layer.mask for layer in self.layers], np.uint8)

    @property
    def sources(self) -> NDArray[np.uint8]:
        """Gray values as read, (H, W, T); empty where they are those of the masks."""
        if all(layer.source is None for layer in self.layers):
            return np.zeros(NOTHING, np.uint8)
        return _stacked(
            [layer.mask if layer.source is None else layer.source for layer in self.layers],
            np.uint8,
        )

    @property
    def instances(self) -> NDArray[np.uint16]:
        """Numbers of objects, (H, W, T); empty where the masks do not number them."""
        found = [layer.instances for layer in self.layers]
        return _stacked([part for part in found if part is not None], np.uint16)


class FormReader(Protocol):
    """Reads one on-disk form."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Every image of the form, sorted by path; no pixel is read for them."""
        ...

    @property
    def strays(self) -> Sequence[str]:
        """Mask files without an image, sorted."""
        ...

    def load(self, entry: Entry) -> Sample:
        """Return the arrays of an entry.

        Raises
        ------
        NoMaskError
            When it has no mask and must have one.
        DataError
            When a file cannot be read, or image and mask do not fit.
        """
        ...


def sample_of(reader: FormReader, entry: Entry) -> Sample:
    """Return the sample of an entry; what cannot be read has a status and an error instead."""
    try:
        return reader.load(entry)
    except DataError as error:
        status: Status = "no-mask" if isinstance(error, NoMaskError) else "failed"
        return Sample(np.zeros(NOTHING, np.uint8), (), status, str(error))


def ids_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the id of each entry: the stem of its file where all differ, else its path.

    Of a path the suffix is left out, unless two images differ by it alone. Ids are in Unicode's
    composed form.
    """
    paths = [normalize("NFC", entry.path) for entry in entries]
    for ids in ([entry.stem for entry in entries], [without_suffix(path) for path in paths], paths):
        if len(set(ids)) == len(ids):
            return tuple(ids)
    repeated = Counter(paths).most_common(1)[0][0]
    message = f"two files have the same name but for Unicode's form: {repeated}"
    raise DataError(message)


def without_suffix(name: str) -> str:
    """Return a name of an image file without its suffix, in whatever case of letters."""
    lower = name.lower()
    for suffix in SUFFIXES:
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def require_size(name: str, found: tuple[int, int], image: NDArray[np.uint8]) -> None:
    """Refuse a mask of another size than its image."""
    if found != image.shape[:2]:
        height, width = image.shape[:2]
        message = (
            f"{name}: is {found[1]}×{found[0]} pixels, its image {width}×{height} (width × height)"
        )
        raise DataError(message)


def _stacked(parts: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.stack(parts, axis=2) if parts else np.zeros(NOTHING, dtype)
