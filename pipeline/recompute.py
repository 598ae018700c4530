"""Makes chosen rows of a sealed artifact once more and compares them with what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.stream import Stream
from pipeline.unit import Node


@dataclass(frozen=True)
class Again:
    """Rows of an artifact that were made once more."""

    names: Sequence[str]
    """What people call the rows."""
    arrays: Mapping[str, Sequence[NDArray[Any]]]
    """The items of the rows, by array."""


class Repeats(Protocol):
    """A stage that can make single rows of its artifacts."""

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return rows of the artifact of `node`, made from its inputs alone."""


@dataclass(frozen=True, slots=True)
class Different:
    """A stored row that differs from what is made for it now."""

    array: str
    row: int
    name: str
    difference: float | None
    """Largest absolute difference of an element; None where shapes differ or one is NaN alone."""
    tolerance: float


def drawn_rows(artifact: Artifact, count: int, seed: int) -> list[int]:
    """Return `count` rows of an artifact, or all where it has fewer, in ascending order.

    They depend on the recipe key and `seed` alone.
    """
    numbers = Stream.of("recompute", seed, artifact.manifest.recipe_key).uniform(len(artifact))
    return sorted(int(row) for row in np.argsort(numbers, kind="stable")[:count])


def differing(
    artifact: Artifact, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]
) -> list[Different]:
    """Return which stored items of `rows` differ from what the stage of `node` makes of them now.

    Embeddings may differ by the tolerance that was recorded when they were sealed, everything else
    not at all.

    Parameters
    ----------
    artifact : Artifact
        What is stored.
    node : Node
        How it is made; its stage is one that `Repeats`.
    inputs : mapping
        The sealed inputs by role.
    rows : sequence of int
        Ascending.
    """
    made = cast("Repeats", node.stage).again(node, inputs, rows)
    tolerance = float(artifact.attributes.get("tolerance", node.tolerance) or 0.0)
    found = []
    for array, items in made.arrays.items():
        mixed = array in artifact.manifest.mixed
        stored = artifact.mixed(array) if mixed else artifact.array(array)
        for row, name, item in zip(rows, made.names, items, strict=True):
            apart = largest_difference(stored[row], item)
            if apart is None or apart > tolerance:
                found.append(Different(array, row, name, apart, tolerance))
    return found


def largest_difference(stored: NDArray[Any], made: NDArray[Any]) -> float | None:
    """Return the largest absolute difference of two items' elements, 0 where both are NaN.

    None where they are of different shapes, or an element is NaN or infinite in one alone.
    """
    if stored.shape != made.shape:
        return None
    one, other = stored.astype(np.float64), made.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinities of one sign are equal, and so left out
        apart = np.abs(one - other)
    apart[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
    largest = float(apart.max(initial=0))
    return largest if np.isfinite(largest) else None
