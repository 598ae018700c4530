"""Predictions and references as callers have them, checked and brought to one form."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.evaluate.segmentation.contract import Floats, Mask

Array: TypeAlias = NDArray[Any]
Unit: TypeAlias = Literal["px", "mm"]


def binary(values: Array, name: str) -> Mask:
    """Return a mask (H, W) of bool, of 0 and 1, or of 0 and 255, as bool.

    Raises
    ------
    DataError
        If it is not two-dimensional, has no pixels, or holds other values.
    """
    _two_dimensional(values, name)
    if values.dtype == np.bool_:
        return values
    mask: Mask = values != 0
    inside = values[mask]
    if inside.size and not (inside[0] in {1, 255} and (inside == inside[0]).all()):
        found = ", ".join(str(value) for value in np.unique(inside)[:4])
        raise DataError(
            f"the {name} holds {found} besides 0; a mask is bool, 0 and 1, or 0 and 255, and "
            "label maps are scored by score_label_map"
        )
    return mask


def probabilities(values: Array) -> Floats:
    """Return probabilities of any shape as float64.

    Raises
    ------
    DataError
        If a value is not finite or lies outside [0, 1].
    """
    found = np.asarray(values, np.float64)
    # NaN fails both comparisons.
    if found.size and not (found.min() >= 0 and found.max() <= 1):
        raise DataError(
            f"predicted probabilities lie in [{found.min():g}, {found.max():g}]; they must be "
            "finite and in [0, 1] (apply the sigmoid or softmax first)"
        )
    return found


def uncertainties(values: Array, reference: Array) -> Floats:
    """Return an uncertainty map (H, W) as float64.

    Raises
    ------
    DataError
        If it is not of the reference's size, or not finite.
    """
    _two_dimensional(values, "uncertainty map")
    same_size(values, reference, "uncertainty map")
    found = np.asarray(values, np.float64)
    if not np.isfinite(found).all():
        raise DataError("the uncertainty map holds values that are not finite")
    return found


def label_map(values: Array, name: str, labels: set[int]) -> NDArray[np.integer[Any]]:
    """Return a label map (H, W) of integers.

    Raises
    ------
    DataError
        If it is not a two-dimensional array of integers, or holds a label that is neither 0, the
        background, nor one of `labels`.
    """
    _two_dimensional(values, name)
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(f"the {name} is {values.dtype}; a label map holds integers")
    if beyond := sorted({int(label) for label in np.unique(values)} - labels - {0}):
        known = ", ".join(str(label) for label in sorted(labels))
        raise DataError(
            f"the {name} holds label {beyond[0]}, which is not in the class list ({known}; 0 is "
            "background)"
        )
    return values


def same_size(values: Array, reference: Array, name: str) -> None:
    """Refuse an array whose last two axes are not those of the reference.

    Raises
    ------
    DataError
        If the sizes differ.
    """
    if values.shape[-2:] != reference.shape:
        theirs, ours = (" × ".join(map(str, shape)) for shape in (values.shape, reference.shape))
        raise DataError(
            f"the {name} is {theirs} and the reference {ours}; scores are at the reference's "
            "native size: resize the prediction first (a mask by resize.nearest)"
        )


def measure(
    tolerance: float, unit: str, spacing: tuple[float, float] | None
) -> tuple[float, tuple[float, float]]:
    """Return the tolerance and the distances of rows and columns in one unit.

    Raises
    ------
    UsageError
        If the unit is unknown, the tolerance negative, or the unit mm without a spacing.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise UsageError(f"a surface tolerance is 0 or more, not {tolerance:g}")
    if unit == "px":
        return float(tolerance), (1.0, 1.0)
    if unit != "mm":
        raise UsageError(f"a surface tolerance is in px or mm, not {unit!r}")
    if spacing is None:
        raise UsageError("a tolerance in mm needs the spacing of the pixels (rows, columns) in mm")
    rows, columns = spacing
    if not (math.isfinite(rows) and math.isfinite(columns) and min(rows, columns) > 0):
        raise UsageError(f"the spacing of pixels is positive, not ({rows:g}, {columns:g}) mm")
    return float(tolerance), (float(rows), float(columns))


def _two_dimensional(values: Array, name: str) -> None:
    if values.ndim != 2 or not values.size:
        raise DataError(f"the {name} has the shape {values.shape}, not (height, width)")
