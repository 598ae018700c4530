"""A sealed set as a dataset for torch's own loaders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset


class _Images(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> NDArray[np.uint8]: ...


class LabelledImages(Protocol):
    """What is wrapped: images `(n, height, width, channels)`, uint8, and their labels."""

    @property
    def images(self) -> _Images:
        """Images by position."""

    @property
    def labels(self) -> Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer[Any]]:
        """Labels by position: a class id each, or 0 or 1 per class."""


class SetDataset(Dataset[tuple[Any, Any]]):  # type: ignore[misc]  # torch is not type-checked
    """The samples of a set, in index order, as `(image, label)`.

    An image is a uint8 tensor `(channels, height, width)`, 0..255, of its own memory; what
    `transform` returns takes its place. Workers of a `DataLoader` may receive it by pickling, if
    the wrapped set and the transform can be.
    """

    def __init__(
        self,
        labelled: LabelledImages,
        transform: Callable[[torch.Tensor], Any] | None = None,
    ) -> None:
        if len(labelled.images) != len(labelled.labels):
            message = f"{len(labelled.images)} images but {len(labelled.labels)} labels"
            raise ValueError(message)
        self._labelled = labelled
        self._transform = transform

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._labelled.images)

    def __getitem__(self, position: int) -> tuple[Any, Any]:
        """Return image and label at `position`, counted from the end if negative.

        The label is an int; where there is one per class, an int64 tensor of them.

        Raises
        ------
        IndexError
            Beyond the last sample.
        """
        count = len(self)
        if not -count <= position < count:
            message = f"sample {position} of a set of {count}"
            raise IndexError(message)
        position %= count
        # A copy: torch cannot share memory that is mapped read-only from the store.
        pixels = np.array(self._labelled.images[position], dtype=np.uint8)
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        found = np.asarray(self._labelled.labels[position], np.int64)
        label = torch.from_numpy(found) if found.ndim else int(found)
        return (image if self._transform is None else self._transform(image)), label
