"""Generated images are read as files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.download.readers import open_split
from stages.download.schema import Dataset
from tests.stages.download.reader_contract import Declare, ReaderContract


@dataclass(frozen=True)
class StandIn:
    """What a phantom generator gives."""

    image: NDArray[np.uint8]
    label: int
    mask: NDArray[np.uint8]


def stand_in(
    modality: str, size: int, split: str, index: int, *, classes: int, seed: int = 0
) -> StandIn:
    """Return a picture that depends on every argument."""
    level = len(modality) + 3 * len(split) + 17 * index + 5 * seed
    image = np.full((size, size, 1), level, np.uint8)
    return StandIn(image, index % classes, (image[..., 0] > level // 2).astype(np.uint8))


def stand_in_label(modality: str, split: str, index: int, *, classes: int, seed: int = 0) -> int:
    """Return the label alone."""
    return stand_in(modality, 8, split, index, classes=classes, seed=seed).label


class TestPhantom(ReaderContract):
    """Rendered images; a stand-in generator keeps the wrapper's tests apart from the pixels."""

    @pytest.fixture(autouse=True)
    def generator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the stand-in in the generator's place."""
        monkeypatch.setattr("stages.download.phantom.generate", stand_in)
        monkeypatch.setattr("stages.download.phantom.label_of", stand_in_label)

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Declare a phantom; nothing lies on disk."""
        del folder
        return declare(
            reader='{form = "phantom", modality = "oct", seed = 2}', source=None, synthetic="true"
        )

    def test_images_labels_and_masks_are_the_generators(self, dataset: Dataset) -> None:
        """Without any folder, each row is what the generator gives for its index."""
        opened = open_split(dataset, None, "test")
        assert opened.ids[3] == "test/000003"
        assert opened.labels.tolist() == [0, 1, 0, 1]
        masks = opened.masks(2, 4)
        assert masks is not None
        for row in (2, 3):
            phantom = stand_in("oct", 8, "test", row, classes=2, seed=2)
            assert np.array_equal(opened.images(row, row + 1)[0], phantom.image)
            assert np.array_equal(masks[row - 2, ..., 0], phantom.mask)
