"""Directions in the space of the embeddings that stand for classes, and scores by cosine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.protocols.blas import product
from stages.evaluate.protocols.contract import (
    LOGIT_SCALE,
    Floats,
    checked_embeddings,
    sigmoid,
    softmax,
    unit_rows,
)


@dataclass(frozen=True, eq=False)
class Directions:
    """One direction per class; for a multi-label task, also one for its absence."""

    directions: Floats = field(
        metadata={"meaning": "direction of each class, (classes, dimensions) in C order"}
    )
    """Shape (K, D), rows of length 1."""
    logit_scale: float = field(metadata={"meaning": LOGIT_SCALE})
    absent: Floats | None = field(
        default=None,
        metadata={
            "meaning": "direction of the absence of each class, as `directions`; null without"
        },
    )
    """Shape (K, D), rows of length 1: absence of each class; None if a sample has one class."""

    def scores(self, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K).

        The softmax over classes of scale times cosine; for a multi-label task the softmax over
        presence and absence of each class by itself (as Tiu et al., Nature Biomedical
        Engineering 2022, do with a positive and a negative prompt), so 0.5 is where both are
        equally near.
        """
        width = self.directions.shape[1]
        images = unit_rows(checked_embeddings(embeddings, "embeddings", width), "embeddings")
        logits = self.logit_scale * product(images, self.directions.T)
        if self.absent is None:
            return softmax(logits)
        return sigmoid(logits - self.logit_scale * product(images, self.absent.T))


class ByDirection:
    """What the protocols share whose models are directions."""

    model: ClassVar[type[Directions]] = Directions
    is_stored: ClassVar[bool] = True

    def scores(self, model: Directions, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        return model.scores(embeddings)
