"""One sealed set, or a clean split, as the formats read it: a few rows at a time."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from stages.vocabulary import CLEAN

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 16 << 20
"""Bytes of images that are in memory at once."""
_LONGEST_NAME = 120
"""Characters of a file name without its suffix; file systems take 255 bytes."""
_SIZE = re.compile(r"-(28|64|128|224)$")
_PASSED_ON = ("patient_id", "original_filepath", "status", "error")


@dataclass(frozen=True, eq=False)
class ExportedSet:
    """A sealed set with what its name says, and the class order that is wanted of it."""

    artifact: Artifact
    dataset: str
    split: str
    suite: str = ""
    """Empty for a clean split."""
    corruption: str = CLEAN
    severity: int = 0
    masks: Artifact | None = None
    """Where the masks lie; None for a set with labels."""
    class_order: tuple[str, ...] = ()
    """All classes in the order that the exported labels number them; empty: the dataset's own."""
    templates: tuple[str, ...] = ()
    """Prompt templates of the dataset, with `{c}` for the class."""
    own_classes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_classes", tuple(self.attributes.get("classes", ())))

    def __len__(self) -> int:
        return len(self.artifact)

    @property
    def name(self) -> str:
        """Name of the sealed set."""
        return self.artifact.name

    @property
    def attributes(self) -> dict[str, Any]:
        """What the manifest says of the dataset: title, licence, task, classes or targets."""
        return self.artifact.attributes

    @property
    def is_clean(self) -> bool:
        """Whether it is a clean split."""
        return not self.suite

    @property
    def has_masks(self) -> bool:
        """Whether it has masks instead of labels."""
        return self.attributes.get("task") == "segmentation"

    @property
    def is_multi_label(self) -> bool:
        """Whether a sample may be of several classes."""
        return self.attributes.get("task") == "multi-label"

    @property
    def is_mixed(self) -> bool:
        """Whether each image has its own size."""
        return "images" in self.artifact.manifest.mixed

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; an exported label is a position in them."""
        return self.class_order or self.own_classes

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the layers of its masks."""
        return tuple(target["name"] for target in self.attributes.get("targets", ()))

    @property
    def item_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of its images; of mixed sizes, those of a middling one."""
        manifest = self.artifact.manifest
        if not self.is_mixed:
            height, width, channels = manifest.arrays["images"].shape
            return height, width, channels
        side = math.isqrt(manifest.nbytes // max(1, manifest.rows * 3))
        return side, side, 3

    @property
    def nbytes(self) -> int:
        """Bytes of its images, uncompressed; of mixed sizes about that."""
        return len(self) * math.prod(self.item_shape)

    def index(self, columns: list[str], start: int = 0, stop: int | None = None) -> pa.Table:
        """Return rows of the index."""
        return self.artifact.index(columns, start, stop)

    def ids(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Return the ids of the samples."""
        found: list[str] = self.index(["id"], start, stop)["id"].to_pylist()
        return found

    def labels(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the labels as positions in `classes`, (n,); of several 0 or 1 each, (n, L)."""
        places: NDArray[np.int64] = np.array(
            [self.classes.index(name) for name in self.own_classes], np.int64
        )
        if not self.is_multi_label:
            own = self.index(["label"], start, stop)["label"].to_numpy()
            return np.asarray(places[own], np.int64)
        flags = np.array(self.index(["labels"], start, stop)["labels"].to_pylist(), np.int64)
        found = np.empty_like(flags)
        found[:, places] = flags
        return found

    def passed_on(self, start: int = 0, stop: int | None = None) -> dict[str, list[str | None]]:
        """Return the columns of text that go along where a format has a place for them."""
        table = self.artifact.index(None, start, stop)
        return {n: table[n].to_pylist() for n in _PASSED_ON if n in table.column_names}

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in order, uint8 (n, H, W, C), as many at once as are 16 MB."""
        array = self.artifact.array("images")
        stop = len(self) if stop is None else stop
        rows = max(1, _AT_ONCE // math.prod(self.item_shape))
        for first in range(start, stop, rows):
            batch = np.empty((min(rows, stop - first), *self.item_shape), np.uint8)
            array.read_into(first, batch)
            yield batch

    def images(self, start: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the images one by one, uint8 (H, W, C); (0, 0, 0) where there is none."""
        if self.is_mixed:
            mixed = self.artifact.mixed("images")
            yield from (mixed[row] for row in range(start, stop))
        else:
            for batch in self.batches(start, stop):
                yield from batch

    def masks_of(self, row: int) -> NDArray[np.uint8] | None:
        """Return the masks of a sample, uint8 (H, W, T) of 0 or 255; None where it has none."""
        if self.masks is None:
            return None
        found: NDArray[np.uint8] = self.masks.mixed("masks")[row]
        return found if found.size else None

    def file_names(self) -> Sequence[str]:
        """Return a file name without suffix for each sample, no two alike in any letter case."""
        return _file_names(self)


@functools.lru_cache(maxsize=16)
def _file_names(of: ExportedSet) -> Sequence[str]:
    ids = of.ids()
    names = [safe_name(one) for one in ids]
    times = Counter(name.casefold() for name in names)
    return [
        name if times[name.casefold()] == 1 else f"{name}~{row}" for row, name in enumerate(names)
    ]


def safe_name(text: str) -> str:
    """Return `text` as one file name that every file system takes, without dots at its ends."""
    name = re.sub(r"[^\w.+=-]+", "-", text).strip(".-")
    return name[:_LONGEST_NAME] or "-"


def class_folders(classes: Sequence[str]) -> list[str]:
    """Return a folder name for each class, which sort as the classes do: ``0-neutrophil``."""
    digits = len(str(len(classes) - 1))
    return [f"{number:0{digits}}-{safe_name(name)}" for number, name in enumerate(classes)]


def flag_of(dataset: str) -> str:
    """Return the name by which other tools know a dataset: its id without one of MedMNIST's sizes.

    The id of ``bloodmnist-224`` is a size of what they call bloodmnist.
    """
    return _SIZE.sub("", dataset)


def size_of(dataset: str) -> str:
    """Return the size in a dataset's id, pixels; the empty string where it has none."""
    found = _SIZE.search(dataset)
    return found.group(1) if found else ""
