"""Zero-shot: the class whose prompt is nearest to the image (Eq. 4 and 5 of the paper)."""

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
    checked_texts,
    class_means,
    softmax,
    unit_rows,
)


@dataclass(frozen=True, eq=False)
class ClassDirections:
    """One direction per class."""

    directions: Floats
    """Shape (K, D), rows of length 1."""
    logit_scale: float
    """Factor from cosine to logit."""


@dataclass(frozen=True)
class ZeroShot:
    """Softmax of the encoder's logit scale times the cosine of image and class text.

    A class with several texts (templates, prompt variants) is the normalised mean of its
    normalised text embeddings, the usual ensemble of CLIP (Radford et al. 2021, §3.1.4), each
    text weighing the same.
    """

    name: ClassVar[str] = "zero-shot"
    needs: ClassVar[frozenset[Need]] = frozenset({"texts"})

    def fit(self, inputs: FitInputs) -> ClassDirections:
        """Return the direction of each class."""
        embeddings, ids, scale = checked_texts(inputs, self.name)
        texts = unit_rows(embeddings, "text embeddings")
        means = class_means(texts, ids, len(inputs.classes))
        return ClassDirections(unit_rows(means, "mean text embedding by class"), scale)

    def scores(self, model: ClassDirections, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        width = model.directions.shape[1]
        images = unit_rows(checked_embeddings(embeddings, "embeddings", width), "embeddings")
        return softmax(model.logit_scale * product(images, model.directions.T))
