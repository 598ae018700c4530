"""Which pixels stand for those beyond the edges of an image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Border: TypeAlias = Callable[[int, int], NDArray[np.int64]]
"""Given a side and a reach, return the pixels that stand at -reach … side + reach - 1."""


def nearest(side: int, reach: int) -> NDArray[np.int64]:
    """Return the pixels at -reach … side + reach - 1, where the edge pixel goes on (a a|a b)."""
    return _lengthened(side, reach, "edge")


def reflected(side: int, reach: int) -> NDArray[np.int64]:
    """Return the pixels at -reach … side + reach - 1, mirrored at the edge (b a|a b)."""
    return _lengthened(side, reach, "symmetric")


def mirrored(side: int, reach: int) -> NDArray[np.int64]:
    """Return the pixels at -reach … side + reach - 1, mirrored around the edge pixel (c b|a b)."""
    return _lengthened(side, reach, "reflect")


@functools.lru_cache(maxsize=256)
def _lengthened(
    side: int, reach: int, mode: Literal["edge", "symmetric", "reflect"]
) -> NDArray[np.int64]:
    pixels = np.pad(np.arange(side, dtype=np.int64), reach, mode=mode)
    pixels.setflags(write=False)
    return pixels
