"""Synthetic images, rendered when they are asked for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.readers.split import SplitReader, declared_splits, require_split
from stages.download.schema import Dataset, PhantomForm

if TYPE_CHECKING:
    from stages.download.phantom import Phantom


@dataclass(frozen=True, slots=True)
class PhantomRows:
    """Images or masks of a split's phantoms."""

    dataset: Dataset
    split: str
    masks: bool = False

    def __call__(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Render the samples from `start` up to `stop`."""
        shape, channels = self.dataset.shape, 1 if self.masks else self.dataset.channels
        images = np.empty((stop - start, *shape, channels), np.uint8)
        for row in range(start, stop):
            phantom = render(self.dataset, self.split, row)
            images[row - start] = _plane(phantom.mask) if self.masks else _plane(phantom.image)
        return images


class PhantomReader:
    """Renders phantoms; ids are `<split>/<index>`, and there is a mask for every image."""

    def __init__(self, dataset: Dataset, folder: Path | None = None) -> None:
        del folder
        self._dataset = dataset

    @staticmethod
    def members(dataset: Dataset, names: Sequence[str]) -> Sequence[str]:
        """Return nothing: there is no archive."""
        del dataset, names
        return ()

    def splits(self) -> tuple[str, ...]:
        """Return the declared splits."""
        return declared_splits(self._dataset)

    def open(self, split: str) -> SplitReader:
        """Return the samples of a split; see `Reader.open`."""
        dataset = self._dataset
        require_split(dataset, split, self.splits())
        count = 0 if dataset.splits is None else getattr(dataset.splits, split)
        labels = [_label(dataset, split, index) for index in range(count)]
        return SplitReader(
            dataset,
            split,
            tuple(f"{split}/{index:06d}" for index in range(count)),
            np.array(labels, np.int64),
            PhantomRows(dataset, split),
            mask_rows=PhantomRows(dataset, split, masks=True),
        )


def render(dataset: Dataset, split: str, index: int) -> Phantom:
    """Return one phantom of a dataset."""
    form = _form(dataset)
    side, _ = dataset.shape  # the manifest's schema lets phantoms be square only
    return _generated(form.modality, side, split, index, len(dataset.classes), form.seed)


def _label(dataset: Dataset, split: str, index: int) -> int:
    from stages.download.phantom import label_of

    form = _form(dataset)
    return label_of(form.modality, split, index, classes=len(dataset.classes), seed=form.seed)


def _form(dataset: Dataset) -> PhantomForm:
    if not isinstance(dataset.reader, PhantomForm):
        message = f"{dataset.id} is not a phantom dataset"
        raise DataError(message)
    return dataset.reader


# Images and masks of the same few samples are asked for one after the other.
@functools.lru_cache(maxsize=256)
def _generated(
    modality: str, size: int, split: str, index: int, classes: int, seed: int
) -> Phantom:
    from stages.download.phantom import generate

    return generate(modality, size, split, index, classes=classes, seed=seed)


def _plane(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., None] if image.ndim == 2 else image
