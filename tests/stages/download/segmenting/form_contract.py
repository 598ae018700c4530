"""What every form of images with masks does, as tests to inherit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.store import Store
from stages.download.segmenting.dataset import DatasetReader, reader_of
from stages.download.segmenting.schema import SegmentationDataset
from tests.stages.download.segmenting.building import blob, built, dataset_in, index


class FormContract:
    """Every form: subclasses write its files and say what must come back."""

    changes: ClassVar[dict[str, Any]]
    """Fields of the manifest."""
    channels: ClassVar[int]
    metadata: ClassVar[dict[str, str]]
    """Of the first sample."""
    patient: ClassVar[str | None] = None
    first: ClassVar[str]
    """Id of the first sample."""

    def write(self, root: Path) -> None:
        """Write three images of 12 × 16 and their masks; that of the first is `blob()`."""
        raise NotImplementedError

    def spoil(self, root: Path) -> None:
        """Make the first sample unreadable."""
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "data"
        self.write(root)
        return root

    @pytest.fixture
    def dataset(self, root: Path) -> SegmentationDataset:
        return dataset_in(root, **self.changes)

    @pytest.fixture
    def reader(self, root: Path, dataset: SegmentationDataset) -> DatasetReader:
        return reader_of(dataset, {"source": root})

    def test_samples_are_sorted_and_named_apart(self, reader: DatasetReader) -> None:
        """Entries are in the order of their paths; ids differ."""
        paths = [entry.path for entry in reader.entries]
        assert paths == sorted(paths)
        assert len(set(reader.ids)) == len(reader.ids) == 3
        assert reader.ids[0] == self.first

    def test_arrays_are_aligned(self, reader: DatasetReader) -> None:
        """Image and layers have one height and width, and a layer holds 0 and 255 only."""
        for row in reader.rows("test"):
            sample = reader.sample(row)
            assert (sample.status, sample.error) == ("ok", "")
            assert sample.image.dtype == sample.masks.dtype == np.uint8
            assert sample.image.shape == (12, 16, self.channels)
            assert sample.masks.shape == (12, 16, len(reader.dataset.targets))
            assert set(np.unique(sample.masks)) <= {0, 255}
            for items in (sample.sources, sample.instances):
                assert items.shape in {(0, 0, 0), sample.masks.shape}

    def test_the_mask_is_the_one_that_was_drawn(self, reader: DatasetReader) -> None:
        """Rows are rows and columns are columns."""
        assert np.array_equal(reader.sample(0).masks[..., 0], blob())

    def test_metadata_are_words(self, store: Store, dataset: SegmentationDataset) -> None:
        """As prompts use them."""
        row = index(built(store, dataset))[0]
        assert row["metadata"] == self.metadata
        assert row["patient_id"] == self.patient
        assert row["mask_filepaths"]

    def test_it_is_read_twice_the_same(self, reader: DatasetReader) -> None:
        """Nothing is kept from one reading to the next."""
        one, two = reader.sample(1), reader.sample(1)
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.masks, two.masks)

    def test_what_cannot_be_read_is_a_row(
        self, root: Path, store: Store, dataset: SegmentationDataset
    ) -> None:
        """With its error; the others are there, and no path of this machine is."""
        self.spoil(root)
        artifact = built(store, dataset)
        rows = index(artifact)
        assert [row["status"] for row in rows] == ["failed", "ok", "ok"]
        assert rows[0]["error"]
        assert str(root) not in rows[0]["error"]
        assert artifact.mixed("images")[0].shape == (0, 0, 0)
        assert artifact.mixed("masks")[1].shape[:2] == (12, 16)

    def test_no_image_at_all_is_an_error(
        self, dataset: SegmentationDataset, tmp_path: Path
    ) -> None:
        """It says which pattern matches nothing, or which file is missing."""
        empty = tmp_path / "empty"
        (empty / "x").mkdir(parents=True)
        (empty / "x" / "notes.txt").write_text("nothing")
        with pytest.raises(DataError, match=r"tiny: (no file matches|there is no )"):
            reader_of(dataset, {"source": empty})
