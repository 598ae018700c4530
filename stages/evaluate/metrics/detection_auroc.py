"""How well low confidence tells corrupted images from clean ones."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights
from stages.evaluate.metrics.counting import by_sample
from stages.evaluate.metrics.ranks import wins


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the AUROC of corrupted against clean images by lack of confidence, (B, S) in [0, 1].

    The confidence of an image is the largest class probability (Hendrycks and Gimpel, ICLR 2017);
    for a multi-label task the mean over labels of max(p, 1 - p). The value is the chance that
    a corrupted image has less confidence than a clean one, ties counting half: 0.5 where
    confidence does not react, below 0.5 where corruption makes the encoder more confident. It is
    0.5 for the clean set itself and NaN where the clean set is not among the sets.
    """
    found = np.full((len(weights), len(batch.scores)), np.nan)
    if batch.clean is None:
        return found
    counts = by_sample(weights)
    pairs = counts.sum(axis=0, dtype=np.float64) ** 2
    confidence = _confidence(batch)
    for index, own in enumerate(confidence):
        found[:, index] = wins(counts, -own, counts, -confidence[batch.clean]) / pairs
    return found


def _confidence(batch: Batch) -> Floats:
    if batch.multi_label:
        return np.asarray(np.maximum(batch.scores, 1.0 - batch.scores).mean(axis=2), np.float64)
    return np.asarray(batch.scores.max(axis=2), np.float64)
