"""What every reader gives: samples of one split, checked against the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.manifest import require_known
from stages.download.schema import Dataset


class Rows(Protocol):
    """Reads the images, or masks, of the samples from `start` up to `stop`, and no others."""

    def __call__(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return uint8 of shape (stop - start, H, W, C)."""
        ...


class Reader(Protocol):
    """Reads one on-disk form. Instances hold paths only: they can be pickled and shared."""

    def __init__(self, dataset: Dataset, folder: Path) -> None: ...

    @staticmethod
    def members(dataset: Dataset, names: Sequence[str]) -> Sequence[str]:
        """Return those of an archive's file names that this form needs."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Return the splits that can be opened, in the order train, val, test."""
        ...

    def open(self, split: str) -> SplitReader:
        """Return the samples of a split.

        Raises
        ------
        UsageError
            When the dataset has no such split.
        DataError
            When the files are not what the manifest says.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SplitReader:
    """The samples of one split, in the order of the source; images are read when asked for.

    Raises
    ------
    DataError
        On construction, when the split is empty, its count differs from the manifest's, ids
        repeat, or a label is outside 0 … K-1 (of a multi-label dataset: not 0 or 1, or not one
        per class).
    """

    dataset: Dataset
    split: str
    ids: tuple[str, ...]
    """Stable name of each sample, unique within the split."""
    labels: NDArray[np.int64]
    """Class of each sample, shape (n,); of a multi-label dataset 0 or 1 per class, (n, K)."""
    rows: Rows
    patient_ids: tuple[str, ...] | None = None
    """Patient of each sample, where the source says."""
    original_filepaths: tuple[str, ...] | None = None
    """Name of each sample's file in the data the source was made from, where it says."""
    mask_rows: Rows | None = None

    def __post_init__(self) -> None:
        faults = [*_count_faults(self), *_id_faults(self), *_label_faults(self)]
        if faults:
            raise DataError(f"{self.dataset.id}/{self.split}: {'; '.join(faults)}")

    def __len__(self) -> int:
        return len(self.ids)

    def images(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the images from `start` up to `stop`: uint8 (n, H, W, channels)."""
        return self._read(self.rows, start, stop, self.dataset.channels)

    def masks(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """Return the masks from `start` up to `stop`: uint8 (n, H, W, 1), if there are."""
        return None if self.mask_rows is None else self._read(self.mask_rows, start, stop, 1)

    def _read(self, rows: Rows, start: int, stop: int, channels: int) -> NDArray[np.uint8]:
        if not 0 <= start <= stop <= len(self):
            message = f"rows {start}:{stop} of {len(self)}"
            raise IndexError(message)
        images = rows(start, stop)
        expected = (stop - start, *self.dataset.shape, channels)
        if images.dtype != np.uint8 or images.shape != expected:
            message = (
                f"{self.dataset.id}/{self.split}: rows {start}:{stop} are {images.dtype} "
                f"{images.shape}, not uint8 {expected}"
            )
            raise DataError(message)
        return images


def declared_splits(dataset: Dataset) -> tuple[str, ...]:
    """Return the splits whose counts the manifest declares."""
    return () if dataset.splits is None else tuple(dataset.splits.counts())


def require_split(dataset: Dataset, split: str, known: Sequence[str]) -> None:
    """Refuse a split that the dataset does not have."""
    require_known(f"split of {dataset.id}", split, known)


def _count_faults(reader: SplitReader) -> list[str]:
    faults = []
    if not reader.ids:
        faults.append("the split is empty")
    declared = (
        None
        if reader.dataset.splits is None
        else getattr(reader.dataset.splits, reader.split, None)
    )
    if declared is not None and len(reader.ids) != declared:
        faults.append(f"the manifest says {declared} samples, the source has {len(reader.ids)}")
    for name in ("labels", "patient_ids", "original_filepaths"):
        values = getattr(reader, name)
        if values is not None and len(values) != len(reader.ids):
            faults.append(f"{len(values)} {name.replace('_', ' ')} for {len(reader.ids)} samples")
    return faults


def _id_faults(reader: SplitReader) -> list[str]:
    if len(set(reader.ids)) == len(reader.ids):
        return []
    repeated, times = Counter(reader.ids).most_common(1)[0]
    return [f"sample ids must be unique; {repeated!r} comes {times} times"]


def _label_faults(reader: SplitReader) -> list[str]:
    classes = len(reader.dataset.classes)
    several = reader.dataset.task == "multi-label"
    if reader.labels.shape[1:] != ((classes,) if several else ()):
        return [f"labels of shape {reader.labels.shape} for a {reader.dataset.task} task"]
    last = 1 if several else classes - 1
    outside = np.argwhere((reader.labels < 0) | (reader.labels > last))
    if not outside.size:
        return []
    place = tuple(outside[0].tolist())
    return [f"label {int(reader.labels[place])} of row {place[0]} is outside 0..{last}"]
