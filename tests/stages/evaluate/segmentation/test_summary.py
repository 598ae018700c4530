"""Means over images, and the intervals of their resamples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.errors import UsageError
from stages.evaluate.bootstrap import Resampling
from stages.evaluate.schema import Bootstrap
from stages.evaluate.segmentation import Score, score_mask, summarise
from tests.stages.evaluate.segmentation.masks import two_raters

MISSING = Score(math.nan, 0, "the reference is empty")


def drawn(n: int, groups: list[str] | None = None) -> Resampling:
    """Return resamples of n images."""
    ids = [f"image-{i:03}" for i in range(n)]
    return Resampling.draw("toy", "test", ids, groups, Bootstrap(resamples=400))


def test_the_mean_is_over_images_that_have_a_value() -> None:
    """The others are counted by reason."""
    images = [{"dice": Score(v, 5)} for v in (0.2, 0.6)] + [{"dice": MISSING}] * 3
    found = summarise(images)["dice"]
    assert (found.mean, found.n) == (pytest.approx(0.4), 2)
    assert found.undefined == {"the reference is empty": 3}
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_intervals_are_those_of_repeated_images() -> None:
    """Each resample's mean is that of the images it holds, as often as it holds them."""
    rng = np.random.default_rng(6)
    values = rng.random(40)
    images = [{"dice": Score(float(v), 5) if i % 20 else MISSING} for i, v in enumerate(values)]
    resampling = drawn(40, [f"patient-{i % 11}" for i in range(40)])
    found = summarise(images, resampling)["dice"]
    defined = np.arange(40) % 20 > 0
    means = [np.repeat(values[defined], row[defined]).mean() for row in resampling.weights]
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.low < found.mean < found.high


def test_a_metric_no_image_has() -> None:
    """There is no mean and no interval, only the reasons."""
    found = summarise([{"dice": MISSING}] * 4, drawn(4))["dice"]
    assert (found.n, found.undefined) == (0, {"the reference is empty": 4})
    assert all(math.isnan(value) for value in (found.mean, found.low, found.high))


def test_wrong_numbers_of_images_are_refused() -> None:
    """No image, or resamples of other images."""
    with pytest.raises(UsageError, match="no images to summarise"):
        summarise([])
    with pytest.raises(UsageError, match="resamples are of 3 images, the scores of 2"):
        summarise([{"dice": MISSING}] * 2, drawn(3))


def test_real_vessels_have_means_and_intervals() -> None:
    """Left and right eyes of one child are one unit of the bootstrap."""
    pairs = two_raters(8)
    scores = [score_mask(*pair) for pair in pairs]
    children = [f"child-{i // 2}" for i in range(len(pairs))]
    found = summarise(scores, drawn(len(pairs), children))
    assert 0.7 < found["dice"].low < found["dice"].mean < found["dice"].high < 0.9
    assert found["brier"].undefined == {"a mask has no probabilities": len(pairs)}
