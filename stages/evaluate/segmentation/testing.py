"""The contract every segmentation metric keeps, as tests to inherit, and its generated masks.

A new metric gets its tests by saying what it is and what empty masks give::

    class TestDice(SegmentationMetricContract):
        name = "dice"
        heeds_rule = True
        both_empty, reference_empty, prediction_empty = 1.0, 0.0, 0.0
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.evaluate.segmentation.contract import Floats, Mask, Pair, Score
from stages.evaluate.segmentation.scoring import METRICS

HEIGHT, WIDTH = 13, 17

UNDEFINED = "undefined"
"""What empty masks have no value in."""
AS_EVER = "as ever"
"""What empty masks make no difference to: there is a value, and it depends on the other mask."""


def noise(name: str, height: int = HEIGHT, width: int = WIDTH) -> Floats:
    """Return values in [0, 1), (height, width), the same for the same name."""
    return Stream.of("segmentation testing", name).uniform(height * width).reshape(height, width)


def shapes() -> dict[str, Mask]:
    """Return masks that metrics are likely to get wrong, all of one size, by name."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return {
        "empty": np.zeros((HEIGHT, WIDTH), np.bool_),
        "full": np.ones((HEIGHT, WIDTH), np.bool_),
        "one pixel": (rows == 6) & (columns == 8),
        "corner pixel": (rows == HEIGHT - 1) & (columns == 0),
        "row": rows == 5,
        "diagonal": rows == columns,
        "border": (rows == 0) | (columns == 0) | (rows == HEIGHT - 1) | (columns == WIDTH - 1),
        "checks": (rows + columns) % 2 == 0,
        "disc": (rows - 6) ** 2 + (columns - 8) ** 2 <= 20,
        "half": columns < 9,
        "specks": noise("specks") > 0.9,
    }


def pair_of(predicted: Mask, reference: Mask) -> Pair:
    """Return a pair whose probabilities fit the predicted mask and whose uncertainty is noise."""
    chances = np.where(predicted, 0.5 + noise("inside") / 2.0000001, noise("outside") / 2)
    return Pair(predicted, reference, chances, noise("uncertainty"))


def pairs() -> Iterator[Pair]:
    """Yield every shape as the prediction of every shape."""
    masks = shapes().values()
    for predicted in masks:
        for reference in masks:
            yield pair_of(predicted, reference)


class SegmentationMetricContract:
    """What every metric does; subclasses name it and say what empty masks give."""

    name: ClassVar[str]
    """Its key in the table of metrics."""
    low: ClassVar[float] = 0.0
    """Least possible value."""
    high: ClassVar[float] = 1.0
    """Greatest possible value."""
    heeds_rule: ClassVar[bool] = False
    """Whether the pair's rule `both_empty` decides what two empty masks give."""
    both_empty: ClassVar[float | str]
    """Value where prediction and reference are empty: a number, UNDEFINED or AS_EVER."""
    reference_empty: ClassVar[float | str]
    """Value where the reference alone is empty."""
    prediction_empty: ClassVar[float | str]
    """Value where the prediction alone is empty."""

    def score(self, pair: Pair) -> Score:
        """Return the metric's score of a pair."""
        return METRICS[self.name](pair)

    def test_scores_are_values_or_reasons(self) -> None:
        """A score is a float in its range over n > 0, or NaN with a reason of one line."""
        for pair in pairs():
            score = self.score(pair)
            assert type(score.value) is float
            assert type(score.n) is int
            if score.undefined is None:
                assert self.low <= score.value <= self.high
                assert score.n > 0 or not (pair.predicted.any() or pair.reference.any())
            else:
                assert math.isnan(score.value)
                assert score.undefined.strip()
                assert "\n" not in score.undefined

    @pytest.mark.parametrize("which", ["both", "reference", "prediction"])
    def test_empty_masks(self, which: str) -> None:
        """Empty masks give what the class says, whatever the other mask is."""
        masks = shapes()
        empty = masks["empty"]
        expected = {
            "both": self.both_empty,
            "reference": self.reference_empty,
            "prediction": self.prediction_empty,
        }[which]
        for name in ("one pixel", "border", "disc", "specks"):
            predicted = masks[name] if which == "reference" else empty
            reference = masks[name] if which == "prediction" else empty
            score = self.score(self._hard(predicted, reference))
            assert (score.undefined is None) == (expected != UNDEFINED)
            if isinstance(expected, float):
                assert score.value == expected

    def test_two_empty_masks_can_be_undefined(self) -> None:
        """Two empty masks have no value where the rule says so and the metric heeds it."""
        empty = shapes()["empty"]
        pair = dataclasses.replace(self._hard(empty, empty), both_empty=math.nan)
        assert (self.score(pair).undefined is None) == (
            self.both_empty != UNDEFINED and not self.heeds_rule
        )

    @staticmethod
    def _hard(predicted: Mask, reference: Mask) -> Pair:
        """Return a pair whose probabilities are 0 and 1."""
        return Pair(predicted, reference, predicted.astype(np.float64), noise("uncertainty"))

    @pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.transpose])
    def test_turning_the_image_changes_nothing(self, turn: Callable[[Mask], Mask]) -> None:
        """Flipped and transposed maps have the same score, in any memory layout."""
        for pair in pairs():
            expected, found = self.score(pair), self.score(_each(pair, turn))
            assert found.value == pytest.approx(expected.value, abs=1e-12, nan_ok=True)
            assert (found.n, found.undefined) == (expected.n, expected.undefined)

    def test_maps_are_left_as_they_are(self) -> None:
        """Read-only maps are scored, and twice the same, bit for bit."""
        for pair in pairs():
            first, second = self.score(pair), self.score(_each(pair, _read_only))
            assert repr(first) == repr(second)


def _each(pair: Pair, change: Callable[[Any], Any]) -> Pair:
    """Return a pair with every map changed."""
    return dataclasses.replace(
        pair,
        predicted=change(pair.predicted),
        reference=change(pair.reference),
        probabilities=change(pair.probabilities),
        uncertainty=change(pair.uncertainty),
    )


def _read_only(values: NDArray[np.generic]) -> NDArray[np.generic]:
    fixed = values.copy()
    fixed.flags.writeable = False
    return fixed
