"""One reader per on-disk form, in an explicit table."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import MissingInputError
from stages.download.readers.folder import FolderReader
from stages.download.readers.medimeta import MedIMetaReader
from stages.download.readers.medmnist import MedMNISTReader
from stages.download.readers.phantom import PhantomReader
from stages.download.readers.split import Reader, SplitReader
from stages.download.schema import Dataset

READERS: dict[str, type[Reader]] = {
    "medmnist": MedMNISTReader,
    "medimeta": MedIMetaReader,
    "folder": FolderReader,
    "phantom": PhantomReader,
}
"""Reader of each `form` that a manifest may name."""

__all__ = ["READERS", "Reader", "SplitReader", "open_split", "reader_of"]


def reader_of(dataset: Dataset, folder: Path | None) -> Reader:
    """Return the reader of `dataset`, whose files lie unpacked in `folder` (None for phantoms).

    Raises
    ------
    MissingInputError
        When a dataset that has files is opened without a folder.
    DataError
        When the files are not what the manifest says, as far as can be told without the pixels.
    """
    if folder is None and dataset.reader.form != "phantom":
        message = f"{dataset.id}: its files have not been fetched"
        raise MissingInputError(message)
    return READERS[dataset.reader.form](dataset, folder or Path())


def open_split(dataset: Dataset, folder: Path | None, split: str) -> SplitReader:
    """Return the samples of one split of `dataset`; see `reader_of` and `Reader.open`."""
    return reader_of(dataset, folder).open(split)
