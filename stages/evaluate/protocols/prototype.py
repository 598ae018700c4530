"""Prototype: the class whose mean train embedding is nearest by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages.evaluate.protocols.contract import (
    FitInputs,
    Need,
    checked_train,
    class_means,
    unit_rows,
)
from stages.evaluate.protocols.directions import ByDirection, Directions

_MEAN = "mean train embedding by class"


@dataclass(frozen=True)
class Prototype(ByDirection):
    """Softmax of the cosine of an image with each class's normalised mean train embedding.

    The mean is taken over normalised embeddings, so a sample's weight does not depend on the
    length of its embedding. For a multi-label task each class is decided between the mean of
    the samples that have it and the mean of all others.
    """

    name: ClassVar[str] = "prototype"
    needs: ClassVar[frozenset[Need]] = frozenset({"train"})

    logit_scale: float = 1.0
    """Factor from cosine to logit. It does not change the predicted class; one-vs-rest AUROC
    over three or more classes and calibration do depend on it."""

    def fit(self, inputs: FitInputs) -> Directions:
        """Return the direction of each class; for a multi-label task also of all without it."""
        embeddings, labels = checked_train(inputs, self.name)
        train = unit_rows(embeddings, "train embeddings")
        if not inputs.multi_label:
            means = class_means(train, labels, len(inputs.classes))
            return Directions(unit_rows(means, _MEAN), self.logit_scale)
        absence, presence = (
            unit_rows(np.stack([train[flags == value].mean(axis=0) for flags in labels.T]), _MEAN)
            for value in (0, 1)
        )
        return Directions(presence, self.logit_scale, absence)
