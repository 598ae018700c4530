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


class MaskedImages(Protocol):
    """What is wrapped: images and their masks, `(height, width, layers)` uint8, by position."""

    @property
    def images(self) -> _Images:
        """Images by position, each of its own size."""

    @property
    def masks(self) -> _Images:
        """Masks by position, in the size of their image."""


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
        image = _channels_first(self._labelled.images[position])
        found = np.asarray(self._labelled.labels[position], np.int64)
        label = torch.from_numpy(found) if found.ndim else int(found)
        return (image if self._transform is None else self._transform(image)), label


class MaskedDataset(Dataset[tuple[Any, Any]]):  # type: ignore[misc]  # torch is not type-checked
    """The samples of a set with masks, in index order, as `(image, masks)`.

    Both are uint8 tensors of their own memory in the sample's own size: `(channels, height,
    width)`, 0..255, and `(targets, height, width)`, 0 or 255; with no element where the sample
    has none. What `transform` returns of the two takes their place.
    """

    def __init__(
        self,
        masked: MaskedImages,
        transform: Callable[[torch.Tensor, torch.Tensor], tuple[Any, Any]] | None = None,
    ) -> None:
        if len(masked.images) != len(masked.masks):
            message = f"{len(masked.images)} images but {len(masked.masks)} masks"
            raise ValueError(message)
        self._masked = masked
        self._transform = transform

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._masked.images)

    def __getitem__(self, position: int) -> tuple[Any, Any]:
        """Return image and masks at `position`, counted from the end if negative.

        Raises
        ------
        IndexError
            Beyond the last sample.
        """
        image = _channels_first(self._masked.images[position])
        masks = _channels_first(self._masked.masks[position])
        return (image, masks) if self._transform is None else self._transform(image, masks)


def _channels_first(pixels: NDArray[np.uint8]) -> torch.Tensor:
    # A copy: torch cannot share memory that is mapped read-only from the store.
    copied = np.array(pixels, dtype=np.uint8)
    return torch.from_numpy(copied).permute(2, 0, 1).contiguous()
