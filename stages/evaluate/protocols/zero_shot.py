"""Zero-shot: the class whose prompt is nearest to the image (Eq. 4 and 5 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stages.evaluate.protocols.contract import (
    FitInputs,
    Need,
    checked_texts,
    class_means,
    unit_rows,
)
from stages.evaluate.protocols.directions import ByDirection, Directions


@dataclass(frozen=True)
class ZeroShot(ByDirection):
    """Softmax of the encoder's logit scale times the cosine of image and class text.

    A class with several texts (templates, prompt variants) is the normalised mean of its
    normalised text embeddings, the usual ensemble of CLIP (Radford et al. 2021, §3.1.4), each
    text weighing the same. For a multi-label task the texts that say a class is absent have a
    direction of their own, and each class is decided between the two.
    """

    name: ClassVar[str] = "zero-shot"
    needs: ClassVar[frozenset[Need]] = frozenset({"texts"})

    def fit(self, inputs: FitInputs) -> Directions:
        """Return the direction of each class; for a multi-label task also of its absence."""
        embeddings, ids, scale = checked_texts(inputs, self.name)
        texts = unit_rows(embeddings, "text embeddings")
        classes = len(inputs.classes)
        means = class_means(texts, ids, 2 * classes if inputs.multi_label else classes)
        directions = unit_rows(means, "mean text embedding by class")
        absent = directions[classes:] if inputs.multi_label else None
        return Directions(directions[:classes], scale, absent)
