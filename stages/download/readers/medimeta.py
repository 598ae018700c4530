"""MedIMeta folders: info.yaml, images.hdf5 or TIFFs, task_labels, splits, annotations.csv."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.readers.arrays import class_labels
from stages.download.readers.folder import PictureRows
from stages.download.readers.hdf5 import plain_dataset
from stages.download.readers.medimeta_info import check_info, read_info
from stages.download.readers.split import Rows, SplitReader, declared_splits, require_split
from stages.download.schema import Dataset, MedIMetaForm
from stages.download.text_files import open_table, read_text


@dataclass(frozen=True, slots=True, eq=False)
class Hdf5Rows:
    """Chosen images of an HDF5 dataset `images`, (N, H, W) or (N, H, W, C) uint8."""

    path: Path
    indices: NDArray[np.int64]
    """Index of each sample's image, increasing."""

    def __call__(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Read the images from `start` up to `stop`, a run of neighbours at a time."""
        chosen = self.indices[start:stop]
        with _hdf5(self.path) as file:
            stored = plain_dataset(self.path, file, "images")
            images = np.empty((len(chosen), *stored.shape[1:]), np.uint8)
            breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
            edges = [0, *breaks.tolist(), len(chosen)] if len(chosen) else []
            for low, high in itertools.pairwise(edges):
                first = int(chosen[low])
                try:
                    stored.read_direct(images, np.s_[first : first + high - low], np.s_[low:high])
                except OSError as error:
                    message = f"{self.path}: image {first} or one after it is damaged: {error}"
                    raise DataError(message) from error
        return images[..., None] if images.ndim == 3 else images


class MedIMetaReader:
    """Reads one task of a MedIMeta dataset; ids are the image names, `images/000123.tiff`.

    Samples come in the order of their numbers, as the collection's own loader gives them.

    Raises
    ------
    DataError
        When info.yaml contradicts the manifest (id, classes and their order, counts, size), a
        file is missing, or a sample is in two splits.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        form = dataset.reader
        if not isinstance(form, MedIMetaForm):
            message = f"{dataset.id} is not a MedIMeta dataset"
            raise DataError(message)
        self._dataset = dataset
        self._root = _root(dataset, form, folder)
        check_info(dataset, form, self._root / "info.yaml", read_info(self._root / "info.yaml"))
        self._labels = self._root / "task_labels" / f"{form.task}.npy"
        self._indices = {
            split: _indices(self._root / "splits" / f"{split}.txt")
            for split in declared_splits(dataset)
        }
        _check_disjoint(dataset, self._indices)

    @staticmethod
    def members(dataset: Dataset, names: Sequence[str]) -> Sequence[str]:
        """Return what is read, without the TIFFs where the same images are in an HDF5 file."""
        task = dataset.reader.task if isinstance(dataset.reader, MedIMetaForm) else ""
        wanted = {"info.yaml", "images.hdf5", "annotations.csv", "LICENSE", f"{task}.npy"}
        packed = any(PurePosixPath(name).name == "images.hdf5" for name in names)
        folders = {"splits"} if packed else {"splits", "images"}
        return [
            name
            for name in names
            if not name.startswith("__MACOSX/")
            and (PurePosixPath(name).name in wanted or PurePosixPath(name).parent.name in folders)
        ]

    def splits(self) -> tuple[str, ...]:
        """Return the declared splits."""
        return declared_splits(self._dataset)

    def open(self, split: str) -> SplitReader:
        """Return the samples of a split; see `Reader.open`."""
        require_split(self._dataset, split, self.splits())
        indices = self._indices[split]
        labels = class_labels(self._labels)
        names = tuple(f"images/{index:06d}.tiff" for index in indices)
        rows, total = self._rows(indices, names, len(labels))
        if len(labels) != total or (indices.size and indices[-1] >= total):
            message = (
                f"{self._dataset.id}/{split}: {total} images, {len(labels)} labels, and sample "
                f"numbers up to {indices[-1] if indices.size else 0}"
            )
            raise DataError(message)
        patients, originals = _annotations(self._root / "annotations.csv", names)
        return SplitReader(self._dataset, split, names, labels[indices], rows, patients, originals)

    def _rows(
        self, indices: NDArray[np.int64], names: tuple[str, ...], total: int
    ) -> tuple[Rows, int]:
        """Return the reader of the images and the number of images (TIFFs: as many as labels)."""
        packed = self._root / "images.hdf5"
        if packed.is_file():
            return Hdf5Rows(packed, indices), _check_hdf5(packed, self._dataset)
        paths = tuple(self._root / name for name in names)
        if missing := [path for path in paths if not path.is_file()]:
            message = f"{missing[0]} is missing ({len(missing)} images are), and so is {packed}"
            raise DataError(message)
        return PictureRows(self._dataset, paths, crop=False), total


def _root(dataset: Dataset, form: MedIMetaForm, folder: Path) -> Path:
    """Return the folder of info.yaml: `folder` itself, or the dataset's own folder in it."""
    for root in (folder, folder / form.collection_id):
        if (root / "info.yaml").is_file():
            return root
    message = f"{dataset.id}: no info.yaml in {folder}, nor in {form.collection_id} below it"
    raise DataError(message)


def _indices(path: Path) -> NDArray[np.int64]:
    """Return the sample numbers of a split file, increasing."""
    numbers = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        found = re.fullmatch(r"(?:images/)?(\d{6,})\.tiff?", line.strip())
        if found is None and line.strip():
            message = f"{path}, line {number}: {line.strip()!r} is not images/<number>.tiff"
            raise DataError(message)
        if found is not None:
            numbers.append(int(found[1]))
    return np.sort(np.array(numbers, np.int64))


def _check_disjoint(dataset: Dataset, splits: dict[str, NDArray[np.int64]]) -> None:
    everything = np.sort(np.concatenate(list(splits.values())))
    repeated = everything[1:][everything[1:] == everything[:-1]]
    if repeated.size:
        message = f"{dataset.id}: sample {int(repeated[0])} is in two splits, or twice in one"
        raise DataError(message)


def _annotations(
    path: Path, names: tuple[str, ...]
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return the patient and the original file of each sample, where the table says."""
    if not path.is_file():
        return None, None
    with open_table(path) as table:
        columns = set(table.fieldnames or ())
        lines = {line.get("filepath", ""): line for line in table}
    if missing := [name for name in names if name not in lines]:
        message = f"{path}: has no row for {missing[0]} (nor for {len(missing) - 1} others)"
        raise DataError(message)
    patients, originals = (
        tuple(lines[name][column] for name in names) if column in columns else None
        for column in ("patient_id", "original_filepath")
    )
    return patients, originals


def _check_hdf5(path: Path, dataset: Dataset) -> int:
    """Return the number of images, having checked their dtype and shape."""
    with _hdf5(path) as file:
        try:
            images = plain_dataset(path, file, "images")
        except KeyError:
            message = f"{path}: has no dataset named images"
            raise DataError(message) from None
        shape, dtype = images.shape, images.dtype
    height, width = dataset.shape
    gray = [(height, width)] if dataset.channels == 1 else []
    shapes = [(height, width, dataset.channels), *gray]
    if dtype != np.uint8 or shape[1:] not in shapes:
        message = f"{path}: images are {dtype} {shape}, not uint8 (N, {height}, {width}, …)"
        raise DataError(message)
    return int(shape[0])


@contextlib.contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    import h5py

    try:
        # Files of a sealed source never change, and locks fail on some shared file systems.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        message = f"{path}: not a whole HDF5 file: {error}"
        raise DataError(message) from error
    with file:
        yield file
