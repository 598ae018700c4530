"""Sensitivity, or recall of pixels."""

from __future__ import annotations

from stages.evaluate.segmentation.contract import Pair, Score, undefined


def score(pair: Pair) -> Score:
    """Return |P ∩ R| / |R| in [0, 1] over the pixels of the reference.

    An empty reference has no sensitivity, whatever was predicted; an empty prediction of one that
    is not empty has 0.
    """
    if not pair.reference_size:
        return undefined("the reference is empty")
    return Score(pair.intersection / pair.reference_size, pair.reference_size)
