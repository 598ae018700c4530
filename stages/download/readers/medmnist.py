"""MedMNIST npz files, v1 to v3, unpacked to one npy file per array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DataError
from stages.download.readers.arrays import class_flags, class_labels, image_rows
from stages.download.readers.split import SplitReader, declared_splits, require_split
from stages.download.schema import Dataset


class MedMNISTReader:
    """Reads `{train,val,test}_{images,labels}.npy`; ids are `<split>/<row>`.

    Raises
    ------
    DataError
        When an array of a declared split is missing.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self._dataset = dataset
        self._folder = folder
        needed = [
            f"{split}_{part}" for split in declared_splits(dataset) for part in ("images", "labels")
        ]
        if missing := [key for key in needed if not (folder / f"{key}.npy").is_file()]:
            found = sorted(path.stem for path in folder.glob("*.npy"))
            message = (
                f"{dataset.id}: the npz lacks {', '.join(missing)}; "
                f"it has {', '.join(found) or 'no arrays'}"
            )
            raise DataError(message)

    @staticmethod
    def members(dataset: Dataset, names: Sequence[str]) -> Sequence[str]:
        """Return all names: what is missing is reported by the reader itself."""
        del dataset
        return names

    def splits(self) -> tuple[str, ...]:
        """Return the declared splits."""
        return declared_splits(self._dataset)

    def open(self, split: str) -> SplitReader:
        """Return the samples of a split; see `Reader.open`."""
        dataset = self._dataset
        require_split(dataset, split, self.splits())
        images = self._folder / f"{split}_images.npy"
        rows, count = image_rows(images, dataset.shape, dataset.channels)
        path = self._folder / f"{split}_labels.npy"
        several = dataset.task == "multi-label"
        labels = class_flags(path, len(dataset.classes)) if several else class_labels(path)
        ids = tuple(f"{split}/{row:06d}" for row in range(count))
        return SplitReader(dataset, split, ids, labels, rows)
