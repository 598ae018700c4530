"""Prototype: the class whose mean train embedding is nearest by cosine."""

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
    class_means,
    softmax,
    unit_rows,
)


@dataclass(frozen=True, eq=False)
class Prototypes:
    """One direction per class."""

    directions: Floats
    """Shape (K, D), rows of length 1."""
    logit_scale: float
    """Factor from cosine to logit."""


@dataclass(frozen=True)
class Prototype:
    """Softmax of the cosine of an image with each class's normalised mean train embedding.

    The mean is taken over normalised embeddings, so a sample's weight does not depend on the
    length of its embedding.
    """

    name: ClassVar[str] = "prototype"
    needs: ClassVar[frozenset[Need]] = frozenset({"train"})

    logit_scale: float = 1.0
    """Factor from cosine to logit. It does not change the predicted class; one-vs-rest AUROC
    over three or more classes and calibration do depend on it."""

    def fit(self, inputs: FitInputs) -> Prototypes:
        """Return the direction of each class."""
        embeddings, labels = checked_train(inputs, self.name)
        train = unit_rows(embeddings, "train embeddings")
        means = class_means(train, labels, len(inputs.classes))
        return Prototypes(unit_rows(means, "mean train embedding by class"), self.logit_scale)

    def scores(self, model: Prototypes, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        width = model.directions.shape[1]
        images = unit_rows(checked_embeddings(embeddings, "embeddings", width), "embeddings")
        return softmax(model.logit_scale * product(images, model.directions.T))
