"""Resizing of predicted masks to a reference's size, for those who predict at another."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError

Value = TypeVar("Value", bound=np.generic)


def nearest(values: NDArray[Value], height: int, width: int) -> NDArray[Value]:
    """Return a mask or label map (H, W) at another size by nearest neighbour.

    As the evaluation code of MedCLIPSeg does to its predictions of 224 × 224: OpenCV's
    `INTER_NEAREST`, which takes pixel floor(i · H / height), so an image is shifted by up to half
    a pixel of the smaller size.

    Raises
    ------
    UsageError
        If the array is not two-dimensional or a size is not positive.
    """
    if values.ndim != 2 or not values.size or min(height, width) < 1:
        raise UsageError(f"cannot resize {values.shape} to ({height}, {width})")
    rows, columns = (
        _sources(old, new) for old, new in zip(values.shape, (height, width), strict=True)
    )
    resized: NDArray[Value] = values[rows[:, None], columns]
    return resized


def _sources(old: int, new: int) -> NDArray[np.int64]:
    """Return the source index of each target index, (new,), rounded as OpenCV rounds it."""
    step = 1.0 / (new / old)
    found = np.floor(np.arange(new) * step).astype(np.int64)
    return np.asarray(np.minimum(found, old - 1), np.int64)
