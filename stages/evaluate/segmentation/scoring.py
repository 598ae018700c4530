"""All metrics of one image: a binary mask, or a label map class by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from pipeline.errors import DataError, UsageError
from stages.evaluate.segmentation import (
    brier,
    dice,
    inputs,
    iou,
    nsd,
    nsd_medclipseg,
    sensitivity,
    spearman,
    specificity,
)
from stages.evaluate.segmentation.contract import Floats, Metric, Pair, Score
from stages.evaluate.segmentation.inputs import Array, Unit

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "dice": dice.score,
        "iou": iou.score,
        "nsd": nsd.score,
        "nsd-medclipseg": nsd_medclipseg.score,
        "sensitivity": sensitivity.score,
        "specificity": specificity.score,
        "brier": brier.over_image,
        "brier-foreground": brier.over_foreground,
        "spearman": spearman.over_image,
        "spearman-foreground": spearman.over_foreground,
    }
)
"""Every metric by the name it has in results."""

Scores: TypeAlias = dict[str, Score]
BothEmpty: TypeAlias = Literal["agree", "undefined"]

_BOTH_EMPTY = {"agree": 1.0, "undefined": math.nan}


def score_mask(
    predicted: Array,
    reference: Array,
    *,
    uncertainty: Array | None = None,
    threshold: float = 0.5,
    tolerance: float = 2.0,
    unit: Unit = "px",
    spacing: tuple[float, float] | None = None,
    both_empty: BothEmpty = "agree",
) -> Scores:
    """Return every metric of one predicted mask, by name.

    Parameters
    ----------
    predicted
        Shape (H, W): a mask (bool, 0 and 1, or 0 and 255), or float probabilities in [0, 1] of
        the foreground.
    reference
        Shape (H, W): a mask at native resolution.
    uncertainty
        Shape (H, W), in any unit, larger where less sure, such as the entropy of the mean of
        several forward passes. By default the entropy of the probabilities themselves.
    threshold
        Probabilities above it are foreground.
    tolerance
        Of `nsd`, in `unit`.
    unit
        `px`, or `mm` with `spacing`.
    spacing
        Distance between rows and between columns, in mm. Used with `mm` only.
    both_empty
        Dice, IoU and NSD where neither mask has a pixel: `agree` gives 1, `undefined` none.

    Raises
    ------
    DataError
        If the arrays are not masks or probabilities of one size.
    UsageError
        If the tolerance, the unit, the spacing or the rule for empty masks is none.
    """
    options = _options(tolerance, unit, spacing, both_empty)
    truth = inputs.binary(reference, "reference")
    inputs.same_size(predicted, truth, "prediction")
    given = None if uncertainty is None else inputs.uncertainties(uncertainty, truth)
    if not np.issubdtype(predicted.dtype, np.floating):
        return _all(Pair(inputs.binary(predicted, "prediction"), truth, None, given, *options))
    if predicted.ndim != 2:
        raise DataError(
            f"predicted probabilities have the shape {predicted.shape}, not (height, width); "
            "those of several classes are scored by score_label_map"
        )
    chances = inputs.probabilities(predicted)
    return _all(Pair(chances > threshold, truth, chances, _or_entropy(given, chances), *options))


def score_label_map(
    predicted: Array,
    reference: Array,
    classes: Mapping[int, str],
    *,
    uncertainty: Array | None = None,
    tolerance: float = 2.0,
    unit: Unit = "px",
    spacing: tuple[float, float] | None = None,
    both_empty: BothEmpty = "agree",
) -> dict[str, Scores]:
    """Return every metric of each class of one label map, each class against the rest, by name.

    Label 0 is background and has no scores. A class that neither map holds follows the rule
    `both_empty`: over many images `agree` lifts the mean of a rare class towards 1.

    Parameters
    ----------
    predicted
        Shape (H, W): integer labels; or (C, H, W): float probabilities of labels 0 to C - 1, of
        which the largest is the prediction, ties going to the lowest label.
    reference
        Shape (H, W): integer labels at native resolution.
    classes
        Names by label, background left out.
    uncertainty
        Shape (H, W), the same for all classes. By default, of each class, the entropy of its
        probability against the rest.
    tolerance, unit, spacing, both_empty
        As for `score_mask`.

    Raises
    ------
    DataError
        If the arrays do not fit, or hold a label beyond `classes`.
    UsageError
        If the classes, the tolerance, the unit, the spacing or the rule are none.
    """
    options = _options(tolerance, unit, spacing, both_empty)
    labels = set(classes)
    if not labels or min(labels) < 1:
        raise UsageError("the class list names labels from 1; label 0 is background")
    truth = inputs.label_map(reference, "reference", labels)
    inputs.same_size(predicted, truth, "prediction")
    given = None if uncertainty is None else inputs.uncertainties(uncertainty, truth)
    chances = None
    if np.issubdtype(predicted.dtype, np.floating):
        chances = _per_label(predicted, labels)
        predicted = chances.argmax(axis=0)
    found = inputs.label_map(predicted, "prediction", labels)
    scores = {}
    for label, name in classes.items():
        own = None if chances is None else chances[label]
        unsure = given if own is None else _or_entropy(given, own)
        scores[name] = _all(Pair(found == label, truth == label, own, unsure, *options))
    return scores


def _all(pair: Pair) -> Scores:
    return {name: metric(pair) for name, metric in METRICS.items()}


def _options(
    tolerance: float, unit: str, spacing: tuple[float, float] | None, both_empty: str
) -> tuple[float, tuple[float, float], float]:
    if both_empty not in _BOTH_EMPTY:
        raise UsageError(f"two empty masks agree or are undefined, not {both_empty!r}")
    return *inputs.measure(tolerance, unit, spacing), _BOTH_EMPTY[both_empty]


def _or_entropy(given: Floats | None, chances: Floats) -> Floats:
    """Return the given uncertainty, or what ranks pixels as the entropy of `chances` does."""
    return np.minimum(chances, 1 - chances) if given is None else given


def _per_label(predicted: Array, labels: set[int]) -> Floats:
    if predicted.ndim != 3 or len(predicted) != max(labels) + 1:
        raise DataError(
            f"predicted probabilities have the shape {predicted.shape}, not "
            f"({max(labels) + 1}, height, width), one layer per label from 0 (background)"
        )
    return inputs.probabilities(predicted)
