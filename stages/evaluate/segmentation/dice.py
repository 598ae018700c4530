"""Dice similarity coefficient, or F1 of pixels (Dice 1945)."""

from __future__ import annotations

from stages.evaluate.segmentation.contract import Pair, Score, neither_has_any


def score(pair: Pair) -> Score:
    """Return 2 |P ∩ R| / (|P| + |R|) in [0, 1] over the pixels of either mask.

    One empty mask gives 0; two give what `pair.both_empty` says.
    """
    total = pair.predicted_size + pair.reference_size
    if not total:
        return neither_has_any(pair)
    return Score(2 * pair.intersection / total, total - pair.intersection)
