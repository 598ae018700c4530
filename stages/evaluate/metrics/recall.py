"""Recall of one class: the share of its samples that are recognised."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights


def values(batch: Batch, weights: Weights, *, class_id: int) -> Floats:
    """Return the recall of `class_id`, (B, S) in [0, 1].

    For a multi-label task it is the share of images with the label for which it is predicted (at
    a probability above 0.5). NaN where no sample, in the labels or in a resample, is of the class.
    """
    if batch.multi_label:
        one = batch.label(class_id)
        return values(one, weights, class_id=1)
    sizes, right = (counted[class_id] for counted in batch.hits(weights))
    found: Floats = np.full(right.shape, np.nan)
    np.divide(right, sizes, out=found, where=sizes > 0)
    return found
