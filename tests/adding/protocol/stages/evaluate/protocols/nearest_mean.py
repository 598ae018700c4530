"""Nearest mean: the class whose mean train embedding is least far away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.protocols.contract import (
    LOGIT_SCALE,
    FitInputs,
    Floats,
    Need,
    checked_embeddings,
    checked_train,
    class_means,
    softmax,
)


@dataclass(frozen=True, eq=False)
class Means:
    """The mean of each class, un-normalised."""

    centres: Floats = field(metadata={"meaning": "mean of each class, (classes, dimensions)"})
    logit_scale: None = field(default=None, metadata={"meaning": LOGIT_SCALE})


@dataclass(frozen=True)
class NearestMean:
    """Softmax of minus the Euclidean distance from each class's mean; not for several labels."""

    name: ClassVar[str] = "nearest-mean"
    needs: ClassVar[frozenset[Need]] = frozenset({"train"})
    model: ClassVar[type[Means]] = Means
    is_stored: ClassVar[bool] = True

    def fit(self, inputs: FitInputs) -> Means:
        """Return the means of the train split."""
        embeddings, labels = checked_train(inputs, self.name)
        return Means(class_means(embeddings, labels, len(inputs.classes)))

    def scores(self, model: Means, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        images = checked_embeddings(embeddings, "embeddings", model.centres.shape[1])
        apart = images[:, None] - model.centres
        return softmax(-np.sqrt((apart**2).sum(axis=2)))
