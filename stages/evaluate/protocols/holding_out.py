"""Which part of a train split is held out to make a choice by, where there is no validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream

Flags = NDArray[np.bool_]


def held_out_rows(
    labels: NDArray[np.integer[Any]],
    share: float,
    seed: int,
    groups: Sequence[str | None] | None = None,
) -> Flags:
    """Return which rows of a train split are held out, (n,).

    Of each class the nearest number to `share` of it, and one less where that would be all of it.
    Where patients are known all images of one stay on the same side, and of a class there may be
    fewer, never more. For a multi-label task, of which no draw is stratified, `share` of the
    patients or images whatever their labels.

    Parameters
    ----------
    labels
        Class ids, (n,); of a multi-label task 0 or 1 per class, (n, K).
    share
        In (0, 1).
    seed
        Of the order in which patients or images are taken.
    groups
        The patient of each row, None or empty where unknown.
    """
    units = _units(groups, len(labels))
    count = int(units.max()) + 1 if len(units) else 0
    if labels.ndim == 2:
        taken = np.zeros(count, np.bool_)
        order = np.argsort(Stream.of("held-out", seed).uniform(count), kind="stable")
        taken[order[: math.floor(share * count + 0.5)]] = True
        return np.asarray(taken[units], np.bool_)
    sizes = np.bincount(labels)
    wanted = np.minimum(np.floor(share * sizes + 0.5).astype(np.int64), np.maximum(sizes - 1, 0))
    if count < len(labels):
        return _by_patient(labels, units, wanted, seed)
    out = np.zeros(len(labels), np.bool_)
    for class_id, number in enumerate(wanted.tolist()):
        rows = np.flatnonzero(labels == class_id)
        order = np.argsort(Stream.of("held-out", seed, class_id).uniform(len(rows)), kind="stable")
        out[rows[order[:number]]] = True
    return out


def _by_patient(
    labels: NDArray[np.integer[Any]],
    units: NDArray[np.int64],
    wanted: NDArray[np.int64],
    seed: int,
) -> Flags:
    """Take patients in turn while no class gets more than is wanted of it."""
    count = int(units.max()) + 1
    of_class: list[dict[int, int]] = [{} for _ in range(count)]
    for unit, label in zip(units.tolist(), labels.tolist(), strict=True):
        of_class[unit][label] = of_class[unit].get(label, 0) + 1
    left = wanted.tolist()
    taken = np.zeros(count, np.bool_)
    for unit in np.argsort(Stream.of("held-out", seed).uniform(count), kind="stable").tolist():
        if all(number <= left[label] for label, number in of_class[unit].items()):
            taken[unit] = True
            for label, number in of_class[unit].items():
                left[label] -= number
    return np.asarray(taken[units], np.bool_)


def _units(groups: Sequence[str | None] | None, rows: int) -> NDArray[np.int64]:
    """Return the number of each row's patient, of one of its own where none is known."""
    if groups is None or not any(groups):
        return np.arange(rows)
    numbers: dict[tuple[str, object], int] = {}
    keys = (("patient", name) if name else ("row", row) for row, name in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
