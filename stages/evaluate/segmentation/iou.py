"""Intersection over union (Jaccard 1912)."""

from __future__ import annotations

from stages.evaluate.segmentation.contract import Pair, Score, neither_has_any


def score(pair: Pair) -> Score:
    """Return |P ∩ R| / |P ∪ R| in [0, 1] over the pixels of either mask.

    One empty mask gives 0; two give what `pair.both_empty` says.
    """
    union = pair.predicted_size + pair.reference_size - pair.intersection
    if not union:
        return neither_has_any(pair)
    return Score(pair.intersection / union, union)
