"""What callers may hand in, label maps class by class, and what is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, UsageError
from stages.evaluate.segmentation import METRICS, score_label_map, score_mask
from tests.stages.evaluate.segmentation.masks import nuclei, shifted

SQUARE = np.zeros((20, 30), bool)
SQUARE[5:12, 8:20] = True
CLASSES = {1: "ventricle", 2: "muscle", 3: "atrium"}
LABELS = np.zeros((20, 30), np.uint8)
LABELS[2:8, 2:10], LABELS[9:18, 12:28] = 1, 2


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.uint16])
@pytest.mark.parametrize("level", [1, 255])
def test_masks_of_any_usual_form(dtype: Any, level: int) -> None:
    """Bool, 0 and 1, and 0 and 255 give the same scores."""
    predicted, reference = shifted(SQUARE, 2), SQUARE
    expected = score_mask(predicted, reference)
    values = np.asarray(level, dtype) if dtype is not bool else np.True_
    found = score_mask(predicted * values, reference * values)
    assert repr(found) == repr(expected)
    assert list(found) == list(METRICS)


def test_probabilities_are_cut_above_the_threshold() -> None:
    """A probability of exactly the threshold is background."""
    chances = np.where(SQUARE, 0.5, 0.2).astype(np.float32)
    assert score_mask(chances, SQUARE)["dice"].value == 0
    assert score_mask(chances, SQUARE, threshold=0.4)["dice"].value == 1


def test_label_maps_are_scored_class_by_class() -> None:
    """Each class has the scores of its own mask against the rest."""
    predicted = shifted(LABELS, 1)
    found = score_label_map(predicted, LABELS, CLASSES, tolerance=1.0)
    assert list(found) == list(CLASSES.values())
    for label, name in CLASSES.items():
        expected = score_mask(predicted == label, label == LABELS, tolerance=1.0)
        assert repr(found[name]) == repr(expected)


def test_a_class_nobody_saw_agrees_or_is_undefined() -> None:
    """The rule for two empty masks decides, and the reason says so."""
    agree = score_label_map(LABELS, LABELS, CLASSES)["atrium"]
    assert (agree["dice"].value, agree["nsd"].value, agree["dice"].n) == (1, 1, 0)
    left_out = score_label_map(LABELS, LABELS, CLASSES, both_empty="undefined")["atrium"]
    for name in ("dice", "iou", "nsd"):
        assert math.isnan(left_out[name].value)
        assert left_out[name].undefined == "prediction and reference are both empty"


def test_class_probabilities_are_decided_by_the_largest() -> None:
    """Ties go to the lowest label; each class has the Brier score of its own layer."""
    rng = np.random.default_rng(5)
    layers = rng.dirichlet(np.ones(4), size=LABELS.shape).transpose(2, 0, 1).round(1)
    found = score_label_map(layers, LABELS, CLASSES)
    for label, name in CLASSES.items():
        mask = layers.argmax(axis=0) == label
        assert found[name]["dice"] == score_mask(mask, label == LABELS)["dice"]
        alone = score_mask(layers[label], label == LABELS)
        for same in ("brier", "brier-foreground", "spearman", "spearman-foreground"):
            assert repr(found[name][same]) == repr(alone[same])


def test_real_nuclei_as_a_label_map() -> None:
    """Every nucleus can be a class; moved by nothing each agrees with itself."""
    labels = nuclei()
    classes = {label: f"nucleus {label}" for label in range(1, int(labels.max()) + 1)}
    found = score_label_map(labels, labels, classes)
    assert all(scores["nsd"].value == scores["dice"].value == 1 for scores in found.values())


@pytest.mark.parametrize(
    ("predicted", "reference", "fault"),
    [
        (SQUARE[:10], SQUARE, "prediction is 10 × 30 and the reference 20 × 30.*native size"),
        (SQUARE[None], SQUARE, r"the prediction has the shape \(1, 20, 30\), not \(height"),
        (SQUARE[None] * 0.5, SQUARE, r"several classes are scored by score_label_map"),
        (SQUARE, SQUARE[0], r"the reference has the shape \(30,\)"),
        (SQUARE, SQUARE[:0], r"the reference has the shape \(0, 30\)"),
        (SQUARE, LABELS, "the reference holds 1, 2 besides 0"),
        (SQUARE, SQUARE * 7, "the reference holds 7 besides 0"),
        (LABELS, SQUARE, "the prediction holds 1, 2 besides 0"),
        (SQUARE * 255.0, SQUARE, r"probabilities lie in \[0, 255\].*sigmoid or softmax"),
        (SQUARE * np.nan, SQUARE, r"probabilities lie in \[nan, nan\]"),
        (SQUARE - 0.5, SQUARE, r"probabilities lie in \[-0.5, 0.5\]"),
    ],
)
def test_maps_that_do_not_fit_are_refused(
    predicted: np.ndarray, reference: np.ndarray, fault: str
) -> None:
    """One line says which map is wrong and what it should be."""
    with pytest.raises(DataError, match=fault) as caught:
        score_mask(predicted, reference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("uncertainty", "fault"),
    [
        (SQUARE[:3] * 1.0, "the uncertainty map is 3 × 30 and the reference 20 × 30"),
        (SQUARE[None] * 1.0, r"the uncertainty map has the shape \(1, 20, 30\)"),
        (np.where(SQUARE, np.inf, 0), "the uncertainty map holds values that are not finite"),
    ],
)
def test_uncertainty_that_does_not_fit_is_refused(uncertainty: np.ndarray, fault: str) -> None:
    """It has the reference's size and finite values."""
    with pytest.raises(DataError, match=fault):
        score_mask(SQUARE, SQUARE, uncertainty=uncertainty)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"tolerance": -1}, "0 or more, not -1"),
        ({"tolerance": math.nan}, "0 or more, not nan"),
        ({"tolerance": math.inf}, "0 or more, not inf"),
        ({"unit": "mm"}, r"needs the spacing of the pixels \(rows, columns\) in mm"),
        ({"unit": "cm"}, "in px or mm, not 'cm'"),
        ({"unit": "mm", "spacing": (0, 1)}, r"positive, not \(0, 1\) mm"),
        ({"unit": "mm", "spacing": (1, math.inf)}, r"positive, not \(1, inf\) mm"),
        ({"both_empty": "one"}, "agree or are undefined, not 'one'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], fault: str) -> None:
    """One line says what is allowed."""
    with pytest.raises(UsageError, match=fault):
        score_mask(SQUARE, SQUARE, **options)
    with pytest.raises(UsageError, match=fault):
        score_label_map(LABELS, LABELS, CLASSES, **options)


@pytest.mark.parametrize(
    ("predicted", "reference", "fault"),
    [
        (LABELS, LABELS + np.uint8(2), "the reference holds label 4, which is not in the class"),
        (LABELS * 3, LABELS, r"the prediction holds label 6.*\(1, 2, 3; 0 is background\)"),
        (LABELS, LABELS * 1.0, "the reference is float64; a label map holds integers"),
        (LABELS > 0, LABELS, "the prediction is bool; a label map holds integers"),
        (np.zeros((3, 20, 30)), LABELS, r"\(3, 20, 30\), not \(4, height, width\)"),
        (LABELS[:, :5], LABELS, "prediction is 20 × 5 and the reference 20 × 30"),
    ],
)
def test_label_maps_that_do_not_fit_are_refused(
    predicted: np.ndarray, reference: np.ndarray, fault: str
) -> None:
    """A label beyond the class list, a wrong type and a wrong number of layers are named."""
    with pytest.raises(DataError, match=fault):
        score_label_map(predicted, reference, CLASSES)


@pytest.mark.parametrize("classes", [{}, {0: "background", 1: "lesion"}])
def test_class_lists_start_at_one(classes: dict[int, str]) -> None:
    """Background is no class, and there is at least one."""
    with pytest.raises(UsageError, match="labels from 1; label 0 is background"):
        score_label_map(LABELS, LABELS, classes)


def test_importing_loads_no_heavy_library() -> None:
    """Nor does scoring a mask at the default tolerance."""
    code = """
import sys
import numpy as np
from stages.evaluate.segmentation import score_mask
score_mask(np.eye(9), np.eye(9, dtype=bool))
print(*{"torch", "cv2", "PIL", "scipy", "numba", "skimage", "sklearn", "pyarrow"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
