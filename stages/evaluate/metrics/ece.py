"""Expected calibration error over 15 bins of equal width."""

from __future__ import annotations

import numpy as np

from stages.evaluate.metrics.contract import Batch, Floats, Weights, over_labels, weighted_totals
from stages.evaluate.metrics.counting import totals

BINS = 15
"""As in Guo et al. 2017 and in torchmetrics."""
_COLUMNS = 128


def values(batch: Batch, weights: Weights) -> Floats:
    """Return the mean gap between confidence and accuracy, (B, S) in [0, 1].

    The confidence of a prediction is its probability, the largest of all classes. Predictions are
    put into 15 bins of equal width, [0, 1/15), [1/15, 2/15), …, [14/15, 1]; the value is the sum
    over bins of ``|sum of confidence - number right| / n`` (Naeini et al., AAAI 2015; Guo et al.,
    ICML 2017). A resample has the same bins. torchmetrics differs in giving a confidence of exactly
    1 a bin of its own.

    For a multi-label task it is the mean over labels of the gap between a label's probability
    and how often it is present, binned by that probability.
    """
    return _of_labels(batch, weights) if batch.multi_label else _of_answers(batch, weights)


def _of_answers(batch: Batch, weights: Weights) -> Floats:
    return _binned(batch.scores.max(axis=2).T, batch.correct, weights)


@over_labels
def _of_labels(batch: Batch, weights: Weights) -> Floats:
    present = (batch.labels == 1).astype(np.float64)
    probability = batch.scores[:, :, 1].T
    return _binned(probability, np.broadcast_to(present[:, None], probability.shape), weights)


def _binned(confidence: Floats, right: Floats, weights: Weights) -> Floats:
    """Return the sum over bins of the absolute gaps; `confidence` and `right` are (n, S)."""
    edges = np.arange(1, BINS) / BINS
    places = np.searchsorted(edges, confidence, side="right")
    gaps = confidence - right
    total = np.zeros((len(weights), confidence.shape[1]))
    used = np.unique(places)
    # Several bins side by side, since each product reads all counts.
    step = max(1, _COLUMNS // confidence.shape[1])
    for start in range(0, len(used), step):
        bins = used[start : start + step, None]
        inside = np.where(places[:, None] == bins, gaps[:, None], 0.0)
        sums = weighted_totals(weights, inside.reshape(len(gaps), -1), 1.0)
        total += np.abs(sums.reshape(len(weights), len(bins), -1)).sum(axis=1)
    return np.asarray(total / totals(weights), np.float64)
