"""Which train samples a classifier sees that is to learn from few."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.stream import Stream


def few_shot_rows(
    labels: NDArray[np.integer],
    classes: Sequence[str],
    identity: Sequence[str],
    seed: int,
    *,
    k: int | None = None,
    fraction: float | None = None,
) -> NDArray[np.int64]:
    """Return the rows of a stratified draw from a train split, ascending.

    Each class is put into an order of its own by the stream of `identity` and `seed`, and its
    first samples are taken: so a smaller draw of a seed is a part of a larger one.

    Parameters
    ----------
    labels : (n,) int
        Class ids.
    classes : sequence of str
        Names of the classes.
    identity : sequence of str
        Dataset and split.
    seed : int
    k : int, optional
        Samples of each class.
    fraction : float, optional
        Share of each class, in (0, 1]: rounded to the nearest number, and one at least.

    Raises
    ------
    DataError
        If a class has fewer than `k` samples, or none.
    ValueError
        Unless exactly one of `k` and `fraction` is given.
    """
    if (k is None) == (fraction is None):
        message = "give either k or fraction"
        raise ValueError(message)
    chosen = []
    for class_id, name in enumerate(classes):
        rows = np.flatnonzero(labels == class_id)
        count = k if k is not None else max(1, math.floor((fraction or 0) * len(rows) + 0.5))
        if count > len(rows):
            message = f"class {name!r} (id {class_id}) has {len(rows)} train samples of {count}"
            raise DataError(message)
        order = Stream.of("few-shot", *identity, seed, class_id).uniform(len(rows))
        chosen.append(rows[np.argsort(order, kind="stable")[:count]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
