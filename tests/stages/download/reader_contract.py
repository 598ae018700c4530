"""What every reader of images does, as tests to inherit, and the images that are written for it."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import MissingInputError, UsageError
from stages.download.readers import open_split, reader_of
from stages.download.schema import Dataset

COUNTS = {"train": 6, "val": 2, "test": 4}
Declare = Callable[..., Dataset]


def pixels(count: int, channels: int, start: int = 0) -> NDArray[np.uint8]:
    """Return distinct 8 × 8 images, (count, 8, 8, channels)."""
    numbers = np.arange(start * 64 * channels, (start + count) * 64 * channels)
    return (numbers * 7 % 251).astype(np.uint8).reshape(count, 8, 8, channels)


def labels_of(count: int) -> NDArray[np.int64]:
    """Return alternating labels."""
    return np.arange(count) % 2


class ReaderContract(ABC):
    """What holds for every reader; subclasses say how the tiny dataset lies on disk."""

    channels: ClassVar[int] = 1
    in_order: ClassVar[bool] = True
    """Whether the samples come in the order in which they were written."""

    @abstractmethod
    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write the tiny dataset into `folder` and return what declares it."""

    @pytest.fixture
    def dataset(self, declare: Declare, tmp_path: Path) -> Dataset:
        """Return the dataset, laid out in tmp_path/files."""
        (tmp_path / "files").mkdir()
        return self.lay_out(declare, tmp_path / "files")

    def test_splits_have_their_counts(self, dataset: Dataset, tmp_path: Path) -> None:
        """Every declared split opens with as many ids and labels as declared."""
        reader = reader_of(dataset, tmp_path / "files")
        assert reader.splits() == tuple(COUNTS)
        for split, count in COUNTS.items():
            opened = reader.open(split)
            assert len(opened) == len(opened.ids) == len(opened.labels) == count
            assert len(set(opened.ids)) == count
            assert opened.labels.dtype == np.int64
            assert set(opened.labels.tolist()) <= {0, 1}

    def test_images_are_uint8_with_a_channel_axis(self, dataset: Dataset, tmp_path: Path) -> None:
        """Images are (n, size, size, channels) and those of a range are those of the whole."""
        for split, count in COUNTS.items():
            opened = open_split(dataset, tmp_path / "files", split)
            whole = opened.images(0, count)
            assert whole.dtype == np.uint8
            assert whole.shape == (count, *dataset.shape, dataset.channels)
            for start in range(count):
                assert np.array_equal(opened.images(start, start + 1)[0], whole[start])
            assert opened.images(1, 1).shape[0] == 0

    def test_ranges_outside_are_refused(self, dataset: Dataset, tmp_path: Path) -> None:
        """No rows are invented or dropped at the ends."""
        opened = open_split(dataset, tmp_path / "files", "val")
        for start, stop in ((0, 3), (-1, 1), (2, 1)):
            with pytest.raises(IndexError):
                opened.images(start, stop)

    def test_reading_again_gives_the_same(self, dataset: Dataset, tmp_path: Path) -> None:
        """Ids, labels and pixels do not depend on the instance, and survive pickling."""
        first = open_split(dataset, tmp_path / "files", "test")
        second = pickle.loads(pickle.dumps(open_split(dataset, tmp_path / "files", "test")))
        assert first.ids == second.ids
        assert np.array_equal(first.labels, second.labels)
        assert np.array_equal(first.images(0, 4), second.images(0, 4))

    def test_an_unknown_split_is_a_usage_error(self, dataset: Dataset, tmp_path: Path) -> None:
        """A split that the dataset does not have is named, with the nearest one."""
        with pytest.raises(UsageError, match="'tests'; did you mean 'test'"):
            open_split(dataset, tmp_path / "files", "tests")


class WrittenPixels(ReaderContract):
    """Adds, for forms with files, that the pixels and labels are those that were written."""

    def test_pixels_and_labels_are_those_written(self, dataset: Dataset, tmp_path: Path) -> None:
        """Each split gives back its own images, channel for channel, with its own labels."""
        start = 0
        for split, count in COUNTS.items():
            opened = open_split(dataset, tmp_path / "files", split)
            written = pixels(count, self.channels, start)
            order = (
                np.arange(count) if self.in_order else np.argsort(labels_of(count), kind="stable")
            )
            assert np.array_equal(opened.images(0, count), written[order])
            assert np.array_equal(opened.labels, labels_of(count)[order])
            start += count

    def test_without_files_the_input_is_missing(self, dataset: Dataset) -> None:
        """A dataset whose files were never fetched is a missing input."""
        with pytest.raises(MissingInputError, match="have not been fetched"):
            reader_of(dataset, None)
