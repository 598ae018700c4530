"""Brier score of pixels: the mean squared difference of probability and truth (Brier 1950).

Over the foreground, as the MedCLIPSeg paper (§4.6) has it, it is the mean of (1 - p)² inside the
reference, so a model that says foreground everywhere has the perfect value 0 there. It is to be
read beside the value over the whole image.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.segmentation.contract import Pair, Score, undefined

_MISSING = "a mask has no probabilities"


def over_image(pair: Pair) -> Score:
    """Return the mean of (p - y)² over all pixels, in [0, 1], 0 the best."""
    if pair.probabilities is None:
        return undefined(_MISSING)
    return _mean_square(pair.probabilities - pair.reference)


def over_foreground(pair: Pair) -> Score:
    """Return the mean of (1 - p)² over the pixels of the reference, in [0, 1], 0 the best."""
    if pair.probabilities is None:
        return undefined(_MISSING)
    if not pair.reference_size:
        return undefined("the reference is empty")
    return _mean_square(1 - pair.probabilities[pair.reference])


def _mean_square(differences: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Score:
    np.multiply(differences, differences, out=differences)
    return Score(float(differences.mean()), differences.size)
