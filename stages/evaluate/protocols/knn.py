"""kNN: the classes of the nearest train embeddings by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.protocols.blas import product
from stages.evaluate.protocols.contract import (
    FitInputs,
    Floats,
    Need,
    checked_embeddings,
    checked_train,
    softmax,
    unit_rows,
)

_AT_ONCE = 1 << 23
"""Cosines held at the same time: bounds the memory."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The train split in plain arrays."""

    directions: Floats
    """Shape (n, D), rows of length 1."""
    labels: Floats
    """Shape (n, K): 1 for each class of a sample, or 0."""
    logit_scale: float


@dataclass(frozen=True)
class NearestNeighbours:
    """Share of each class among the nearest train samples, near ones weighing more.

    A neighbour weighs ``exp(cosine / temperature)`` (Wu et al., CVPR 2018, Section 3.4); with as
    many neighbours and the temperature that DINO's evaluation takes (Caron et al., ICCV 2021,
    Section 4.1). Of equally near ones the first in index order counts. For a multi-label task the
    share of each class is its probability.
    """

    name: ClassVar[str] = "knn"
    needs: ClassVar[frozenset[Need]] = frozenset({"train"})
    model: ClassVar[type[Neighbours]] = Neighbours
    is_stored: ClassVar[bool] = False

    neighbours: int = 20
    """Train samples that count; all of a smaller train split."""
    temperature: float = 0.07

    def fit(self, inputs: FitInputs) -> Neighbours:
        """Return the train split."""
        embeddings, labels = checked_train(inputs, self.name)
        flags = labels if inputs.multi_label else labels[:, None] == np.arange(len(inputs.classes))
        directions = unit_rows(embeddings, "train embeddings")
        return Neighbours(directions, flags.astype(np.float64), 1 / self.temperature)

    def scores(self, model: Neighbours, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        width = model.directions.shape[1]
        images = unit_rows(checked_embeddings(embeddings, "embeddings", width), "embeddings")
        rows = max(1, _AT_ONCE // len(model.directions))
        parts = [images[start : start + rows] for start in range(0, len(images), rows)]
        return np.concatenate([self._scores(model, part) for part in parts])

    def _scores(self, model: Neighbours, images: Floats) -> Floats:
        cosine = product(images, model.directions.T)
        order = _largest(cosine, self.neighbours)
        near = np.take_along_axis(cosine, order, axis=1)
        weights = softmax(near * model.logit_scale)
        shares = np.einsum("nk,nkc->nc", weights, model.labels[order])
        return np.asarray(np.minimum(shares, 1.0), np.float64)  # sums are rounded


def _largest(values: Floats, count: int) -> NDArray[np.int64]:
    """Return the columns of the `count` largest values of each row, largest and first first."""
    if count >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")
    found = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
    largest = np.take_along_axis(values, found, axis=1)
    order = np.argsort(-largest, axis=1, kind="stable")
    found = np.take_along_axis(found, order, axis=1)
    # Where equals lie on both sides of the cut, any of them was taken.
    tied = (values >= largest.min(axis=1, keepdims=True)).sum(axis=1) > count
    found[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :count]
    return found
