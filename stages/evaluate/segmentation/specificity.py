"""Specificity: the share of background that is left alone."""

from __future__ import annotations

from stages.evaluate.segmentation.contract import Pair, Score, undefined


def score(pair: Pair) -> Score:
    """Return the share of pixels outside the reference that are not predicted, in [0, 1].

    A reference that fills the image has no specificity. It depends on how much background the
    image shows: small objects have a value near 1 whatever is predicted.
    """
    background = pair.reference.size - pair.reference_size
    if not background:
        return undefined("the reference fills the image")
    wrong = pair.predicted_size - pair.intersection
    return Score(1 - wrong / background, background)
