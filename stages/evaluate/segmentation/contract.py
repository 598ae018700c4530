"""What every segmentation metric is given and gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """The value of one metric for one image and class."""

    value: float
    """NaN where undefined."""
    n: int
    """Number of pixels, or of surface elements, that the value was computed over."""
    undefined: str | None = None
    """Why there is no value, or None where there is one."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One class in one image: what was predicted beside the reference, both (H, W)."""

    predicted: Mask
    """Where the class was predicted."""
    reference: Mask
    """Where it is, at native resolution."""
    probabilities: Floats | None = None
    """Predicted probability of the class in [0, 1], or None where only a mask was predicted."""
    uncertainty: Floats | None = None
    """Larger where the prediction is less sure, in any unit, or None where nothing says so."""
    tolerance: float = 2.0
    """Largest distance at which surfaces still agree, in the unit of `spacing`."""
    spacing: tuple[float, float] = (1.0, 1.0)
    """Distance between rows and between columns: 1 for pixels, else in mm."""
    both_empty: float = 1.0
    """What overlap and surface metrics give where both masks are empty; NaN leaves it undefined."""

    @cached_property
    def predicted_size(self) -> int:
        """Number of predicted pixels."""
        return int(np.count_nonzero(self.predicted))

    @cached_property
    def reference_size(self) -> int:
        """Number of reference pixels."""
        return int(np.count_nonzero(self.reference))

    @cached_property
    def intersection(self) -> int:
        """Number of pixels in both masks."""
        return int(np.count_nonzero(self.predicted & self.reference))


Metric: TypeAlias = Callable[[Pair], Score]
"""From a pair to the metric's value; undefined values say why."""


def undefined(reason: str, n: int = 0) -> Score:
    """Return a score without a value."""
    return Score(math.nan, n, reason)


def neither_has_any(pair: Pair) -> Score:
    """Return the score of two empty masks, as the pair's rule `both_empty` has it."""
    if math.isnan(pair.both_empty):
        return undefined("prediction and reference are both empty")
    return Score(pair.both_empty, 0)
