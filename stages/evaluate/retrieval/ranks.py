"""Ranks of what belongs together among all that could, and what chance would give."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]


def first_ranks(similarity: Floats, owned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the rank of the best owned column of each row, 1 for the nearest of all.

    Columns as near as the best owned one count half, as if ties were broken by chance.

    Parameters
    ----------
    similarity : (n, m) float
    owned : (n, m) bool
        At least one per row.

    Returns
    -------
    ranks : (n,) float64
    """
    best = np.where(owned, similarity, -np.inf).max(axis=1, keepdims=True)
    others = ~owned
    nearer = ((similarity > best) & others).sum(axis=1)
    equal = ((similarity == best) & others).sum(axis=1)
    ranks: NDArray[np.float64] = 1 + nearer + equal / 2
    return ranks


def recall_by_chance(columns: int, owned: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return how likely one of `owned` columns is among `k` of all, drawn without replacement.

    ``1 - C(columns - owned, k) / C(columns, k)``, for each entry of `owned`.
    """
    missed = np.ones(len(owned))
    for drawn in range(min(k, columns)):
        missed *= np.clip(columns - owned - drawn, 0, None) / (columns - drawn)
    return 1 - missed


def reciprocal_by_chance(columns: int, owned: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of 1 / rank of the first of `owned` columns in an order drawn by chance."""
    expected = np.zeros(len(owned))
    later = np.ones(len(owned))
    for rank in range(1, columns + 1):
        left = columns - rank + 1
        here = np.clip(owned / left, 0, 1)
        expected += later * here / rank
        later = later * (1 - here)
    return expected


def preferred(true: Floats, changed: Floats) -> NDArray[np.float64]:
    """Return 1 where the true text is nearer than the changed one, 0.5 where both are equal."""
    return np.where(true == changed, 0.5, true > changed).astype(np.float64)
