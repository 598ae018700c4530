"""Nearest-neighbour resizing against OpenCV's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from stages.evaluate.segmentation.resize import nearest

SIZES = st.integers(1, 400)


@given(height=SIZES, width=SIZES, to_height=SIZES, to_width=SIZES)
def test_nearest_equals_opencvs(height: int, width: int, to_height: int, to_width: int) -> None:
    """Every pixel comes from the same place, when shrinking and when enlarging."""
    import cv2

    places = np.arange(height * width, dtype=np.int32).reshape(height, width)
    expected = cv2.resize(places, (to_width, to_height), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(nearest(places, to_height, to_width), expected)


@pytest.mark.parametrize("native", [(960, 999), (2848, 4288), (28, 28), (224, 224)])
def test_a_prediction_at_224_is_enlarged_as_opencv_does(native: tuple[int, int]) -> None:
    """The detour of MedCLIPSeg's evaluation, in bool."""
    import cv2

    mask = np.random.default_rng(0).random((224, 224)) > 0.5
    found = nearest(mask, *native)
    expected = cv2.resize(mask.astype(np.uint8), native[::-1], interpolation=cv2.INTER_NEAREST)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected > 0)


@pytest.mark.parametrize(("shape", "size"), [((3,), (2, 2)), ((3, 3), (0, 2)), ((0, 3), (2, 2))])
def test_impossible_sizes_are_refused(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """One line names both."""
    with pytest.raises(UsageError, match="cannot resize"):
        nearest(np.zeros(shape), *size)
