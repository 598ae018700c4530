"""Spearman's rank correlation of uncertainty with error, pixel by pixel (Spearman 1904).

The MedCLIPSeg paper (§4.6) reports it over "foreground regions" and neither defines them nor
publishes the code. Here foreground is the reference mask, the error of a pixel is |p - y|, and
each image has a value of its own. Where only a mask was predicted, p is 0 or 1 and the error is
whether the pixel is wrong.

Inside the reference the error is 1 - p. If the uncertainty is a function of p alone, such as its
entropy, the value is 1 wherever p stays above a half: only wrong pixels can lower it.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.segmentation.contract import Floats, Pair, Score, undefined


def over_image(pair: Pair) -> Score:
    """Return the correlation over all pixels, in [-1, 1], ties sharing their mean rank."""
    if pair.uncertainty is None:
        return _without_uncertainty()
    return _correlation(pair.uncertainty.ravel(), _errors(pair).ravel())


def over_foreground(pair: Pair) -> Score:
    """Return the correlation over the pixels of the reference, in [-1, 1]."""
    if pair.uncertainty is None:
        return _without_uncertainty()
    if not pair.reference_size:
        return undefined("the reference is empty")
    inside = pair.reference
    return _correlation(pair.uncertainty[inside], _errors(pair)[inside])


def _without_uncertainty() -> Score:
    return undefined("nothing says how uncertain the prediction is")


def _errors(pair: Pair) -> Floats:
    """Return |p - y|, (H, W)."""
    if pair.probabilities is None:
        return np.asarray(pair.predicted ^ pair.reference, np.float64)
    return np.asarray(np.abs(pair.probabilities - pair.reference), np.float64)


def _correlation(uncertainty: Floats, errors: Floats) -> Score:
    """Return Pearson's correlation of the ranks."""
    n = len(errors)
    for name, values in (("uncertainty", uncertainty), ("error", errors)):
        if values.min() == values.max():
            return undefined(f"the {name} is the same in every pixel", n)
    left, right = _centred_ranks(uncertainty), _centred_ranks(errors)
    # Sums of products rather than np.dot, whose last bits depend on the BLAS at hand. The root is
    # of a product of whole numbers, so equal ranks give exactly 1.
    scale = np.sqrt((left * left).sum() * (right * right).sum())
    return Score(float(np.clip((left * right).sum() / scale, -1.0, 1.0)), n)


def _centred_ranks(values: Floats) -> Floats:
    """Return mean ranks less their mean, (n,), times two: whole numbers, exact in float64."""
    n = len(values)
    order = np.argsort(values)
    ranked = values[order]
    rises = ranked[1:] != ranked[:-1]
    ranks = np.empty(n)
    if rises.all():
        ranks[order] = np.arange(1 - n, n, 2)
        return ranks
    group = np.concatenate(([0], np.cumsum(rises)))
    starts = np.concatenate(([0], np.flatnonzero(rises) + 1))
    ends = np.append(starts[1:], n)
    # A group's ranks run from start + 1 to end and share their mean.
    ranks[order] = (starts + ends - n).astype(np.float64)[group]
    return ranks
