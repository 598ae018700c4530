"""What many metrics need of the same counts, remembered while the counts stay the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = NDArray[np.unsignedinteger]
T = TypeVar("T")
_REMEMBERED = 2
_LARGEST = 1 << 22
"""Counts of at most this number are remembered as float64 too, which takes 32 MiB."""


class _Same:
    """An array as a key: equal to itself alone."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __hash__(self) -> int:
        return id(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.array is self.array


def _remembered(make: Callable[[Weights], T]) -> Callable[[Weights], T]:
    """Return `make` that remembers its last results for arrays that cannot be written to.

    Those are the counts of a dataset split, which every metric of every system asks about.
    """

    @functools.lru_cache(maxsize=_REMEMBERED)
    def kept(key: _Same) -> T:
        return make(key.array)

    @functools.wraps(make)
    def values(weights: Weights) -> T:
        return make(weights) if weights.flags.writeable else kept(_Same(weights))

    return values


@_remembered
def totals(weights: Weights) -> NDArray[np.int64]:
    """Return the number of samples in each resample, (B, 1), of counts (B, n)."""
    return np.asarray(weights.sum(axis=1, dtype=np.int64)[:, None], np.int64)


@_remembered
def by_sample(weights: Weights) -> Weights:
    """Return the counts (B, n) as (n, B) in the narrowest type that holds the sum of a resample."""
    most = int(totals(weights).max(initial=0))
    kind = np.uint16 if most <= np.iinfo(np.uint16).max else np.uint32
    return np.ascontiguousarray(weights.T, kind)


def as_floats(weights: Weights) -> NDArray[np.float64] | None:
    """Return the counts as float64 if they are remembered, None where that would take too much."""
    if weights.flags.writeable or weights.size > _LARGEST:
        return None
    return _floats(weights)


@_remembered
def _floats(weights: Weights) -> NDArray[np.float64]:
    return weights.astype(np.float64)
