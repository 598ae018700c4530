"""Image files in folders: `<split>/<class>/…`, or `<class>/…` with a splits file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.manifest import nearest
from stages.download.inventory import files_below
from stages.download.readers.pictures import decode
from stages.download.readers.split import SplitReader, require_split
from stages.download.schema import SPLITS, Dataset, FolderForm
from stages.download.text_files import open_table

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class PictureRows:
    """Pictures decoded one by one."""

    dataset: Dataset
    paths: tuple[Path, ...]
    crop: bool

    def __call__(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Decode the pictures from `start` up to `stop`."""
        shape, channels = self.dataset.shape, self.dataset.channels
        images = np.empty((stop - start, *shape, channels), np.uint8)
        for row, path in enumerate(self.paths[start:stop]):
            images[row] = decode(path, channels, shape, crop=self.crop)
        return images


class FolderReader:
    """Reads a folder of pictures; ids are the paths below the folder, in sorted order.

    Every file below a class folder must be a picture, and every folder a known split or class:
    nothing is left out silently except hidden files.

    Raises
    ------
    DataError
        When it is laid out otherwise, or the splits file and the pictures do not match.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        form = dataset.reader
        if not isinstance(form, FolderForm):
            message = f"{dataset.id} is not a folder dataset"
            raise DataError(message)
        self._dataset = dataset
        self._folder = folder / form.root
        self._crop = form.fit == "centre-crop"
        self._labels = {name: row for row, name in enumerate(form.folders or dataset.classes)}
        self._pictures = (
            self._by_splits_file(form.splits_file) if form.splits_file else self._by_folders()
        )

    @staticmethod
    def members(dataset: Dataset, names: Sequence[str]) -> Sequence[str]:
        """Return all names except what archivers add for themselves."""
        del dataset
        return [name for name in names if not name.startswith("__MACOSX/")]

    def splits(self) -> tuple[str, ...]:
        """Return the declared splits, or those that were found."""
        declared = self._dataset.splits
        return tuple(declared.counts()) if declared is not None else tuple(self._pictures)

    def open(self, split: str) -> SplitReader:
        """Return the samples of a split; see `Reader.open`."""
        require_split(self._dataset, split, self.splits())
        pictures = self._pictures.get(split, {})
        return SplitReader(
            self._dataset,
            split,
            tuple(pictures),
            np.fromiter(pictures.values(), np.int64, len(pictures)),
            PictureRows(self._dataset, tuple(self._folder / path for path in pictures), self._crop),
            original_filepaths=tuple(pictures),
        )

    def _by_folders(self) -> dict[str, dict[str, int]]:
        """Return `{split: {path: label}}` of a folder whose first level are the splits."""
        found: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
        for path in files_below(self._folder):
            parts = PurePosixPath(path).parts
            if len(parts) == 1:
                continue
            if parts[0] not in found:
                message = f"{self._folder}: {parts[0]!r} is not a split{nearest(parts[0], SPLITS)}"
                raise DataError(message)
            found[parts[0]][path] = self._label(path, parts[1:])
        return {split: pictures for split, pictures in found.items() if pictures}

    def _by_splits_file(self, name: str) -> dict[str, dict[str, int]]:
        """Return `{split: {path: label}}` of a folder whose first level are the classes."""
        labels = {
            path: self._label(path, PurePosixPath(path).parts)
            for path in files_below(self._folder)
            if "/" in path
        }
        listed = _splits_file(self._folder / name)
        faults = [f"{path} is not there" for path in listed if path not in labels]
        faults += [f"{path} is not in {name}" for path in labels if path not in listed]
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            message = f"{self._folder}: {faults[0]}{more}"
            raise DataError(message)
        return {
            split: chosen
            for split in SPLITS
            if (chosen := {path: labels[path] for path in labels if listed[path] == split})
        }

    def _label(self, path: str, parts: tuple[str, ...]) -> int:
        """Return the label of a picture whose class folder is the first of `parts`."""
        if len(parts) == 1 or parts[0] not in self._labels:
            name = "its folder" if len(parts) == 1 else repr(parts[0])
            hint = nearest(parts[0], self._labels)
            message = f"{self._folder / path}: {name} is not a class{hint}"
            raise DataError(message)
        if PurePosixPath(path).suffix.lower() not in SUFFIXES:
            kinds = ", ".join(sorted(SUFFIXES))
            message = f"{self._folder / path}: is not a picture of a known kind ({kinds})"
            raise DataError(message)
        return self._labels[parts[0]]


def _splits_file(path: Path) -> dict[str, str]:
    """Return `{picture: split}` from a CSV with the columns `path` and `split`."""
    with open_table(path) as lines:
        return _listed(path, lines)


def _listed(path: Path, lines: csv.DictReader[str]) -> dict[str, str]:
    if not {"path", "split"} <= set(lines.fieldnames or ()):
        message = f"{path}: needs the columns path and split"
        raise DataError(message)
    listed: dict[str, str] = {}
    for line in lines:
        place, split = f"{path}, line {lines.line_num}", line["split"]
        if split not in SPLITS:
            message = f"{place}: {split!r} is not a split{nearest(split, SPLITS)}"
            raise DataError(message)
        if line["path"] in listed:
            message = f"{place}: {line['path']!r} comes twice"
            raise DataError(message)
        listed[line["path"]] = split
    return listed
