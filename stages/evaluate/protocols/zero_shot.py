"""Zero-shot: the class whose prompt is nearest to the image (Eq. 4 and 5 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.protocols.contract import (
    FitInputs,
    Floats,
    Need,
    checked_texts,
    class_means,
    unit_rows,
)
from stages.evaluate.protocols.directions import Directions


@dataclass(frozen=True)
class ZeroShot:
    """Softmax of the encoder's logit scale times the cosine of image and class text.

    A class with several texts (templates, prompt variants) is the normalised mean of its
    normalised text embeddings, the usual ensemble of CLIP (Radford et al. 2021, §3.1.4), each
    text weighing the same. For a multi-label task the texts that say a class is absent have a
    direction of their own, and each class is decided between the two.
    """

    name: ClassVar[str] = "zero-shot"
    needs: ClassVar[frozenset[Need]] = frozenset({"texts"})
    model: ClassVar[type[Directions]] = Directions
    is_stored: ClassVar[bool] = True

    def fit(self, inputs: FitInputs) -> Directions:
        """Return the direction of each class; for a multi-label task also of its absence."""
        embeddings, ids, scale = checked_texts(inputs, self.name)
        texts = unit_rows(embeddings, "text embeddings")
        classes = len(inputs.classes)
        means = class_means(texts, ids, 2 * classes if inputs.multi_label else classes)
        directions = unit_rows(means, "mean text embedding by class")
        absent = directions[classes:] if inputs.multi_label else None
        return Directions(directions[:classes], scale, absent)

    def scores(self, model: Directions, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        return model.scores(embeddings)
