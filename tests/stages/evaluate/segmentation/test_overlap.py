"""Overlap, calibration and correlation against MONAI, scikit-learn and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy, spearmanr
from sklearn.metrics import brier_score_loss, recall_score

from stages.evaluate.segmentation import score_mask
from tests.stages.evaluate.segmentation.masks import (
    adversarial_pairs,
    one_mask,
    two_masks,
    two_raters,
)

Masks = tuple[np.ndarray, np.ndarray]
PAIRS = st.one_of(two_masks(), st.sampled_from(adversarial_pairs()))


@st.composite
def probabilistic(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities with ties, zeros and ones, a reference, and an uncertainty with ties."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    reference = draw(one_mask(shape))
    size = reference.size
    levels = draw(st.sampled_from([1, 2, 4, 255]))
    maps = [
        np.array(draw(st.lists(st.integers(0, levels), min_size=size, max_size=size))) / levels
        for _ in range(2)
    ]
    return maps[0].reshape(shape), reference, maps[1].reshape(shape)


def monais(name: str, predicted: np.ndarray, reference: np.ndarray, **options: object) -> float:
    """Return the value of one of MONAI's functions for one image."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    maps = [torch.from_numpy(mask.copy())[None, None].float() for mask in (predicted, reference)]
    return float(getattr(metrics, name)(*maps, include_background=True, **options))


@settings(deadline=None)
@given(masks=PAIRS)
def test_dice_and_iou_equal_monais(masks: Masks) -> None:
    """With `ignore_empty=False` always; by default MONAI drops every empty reference."""
    scores = score_mask(*masks)
    for ours, theirs in (("dice", "compute_dice"), ("iou", "compute_iou")):
        found = scores[ours].value
        assert found == pytest.approx(monais(theirs, *masks, ignore_empty=False), abs=1e-6)
        dropped = monais(theirs, *masks)
        assert math.isnan(dropped) if not masks[1].any() else found == pytest.approx(dropped)


@given(masks=PAIRS)
def test_sensitivity_and_specificity_equal_scikit_learns(masks: Masks) -> None:
    """They are the recalls of foreground and background, NaN without any."""
    scores = score_mask(*masks)
    predicted, reference = (mask.ravel() for mask in masks)
    for name, label in (("sensitivity", True), ("specificity", False)):
        expected = recall_score(reference, predicted, pos_label=label, zero_division=np.nan)
        assert scores[name].value == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert scores[name].n == (reference == label).sum()


@given(maps=probabilistic())
def test_brier_equals_scikit_learns(maps: tuple[np.ndarray, ...]) -> None:
    """Over all pixels, and over those of the reference."""
    chances, reference, _ = maps
    scores = score_mask(chances, reference)
    truth = reference.ravel()
    expected = brier_score_loss(truth, chances.ravel(), pos_label=True)
    assert scores["brier"].value == pytest.approx(expected, abs=1e-12)
    inside = chances[reference]
    if inside.size:
        expected = brier_score_loss(truth[truth], inside, pos_label=True)
        assert scores["brier-foreground"].value == pytest.approx(expected, abs=1e-12)


@given(maps=probabilistic())
def test_spearman_equals_scipys(maps: tuple[np.ndarray, ...]) -> None:
    """Ties share their mean rank; where SciPy warns of a constant there is a reason instead."""
    chances, reference, uncertainty = maps
    scores = score_mask(chances, reference, uncertainty=uncertainty)
    errors = np.abs(chances - reference)
    everywhere = np.ones_like(reference)
    for name, where in (("spearman", everywhere), ("spearman-foreground", reference)):
        left, right = uncertainty[where], errors[where]
        score = scores[name]
        if len(set(left)) < 2 or len(set(right)) < 2:
            assert score.undefined is not None
        else:
            assert score.n == where.sum()
            assert score.value == pytest.approx(spearmanr(left, right).statistic, abs=1e-9)


def test_a_mask_is_right_or_wrong() -> None:
    """Without probabilities the error is 0 or 1 and there is no Brier score."""
    rng = np.random.default_rng(3)
    predicted, reference = rng.random((2, 20, 30)) > 0.6
    uncertainty = rng.random((20, 30)) + (predicted ^ reference)
    scores = score_mask(predicted, reference, uncertainty=uncertainty)
    expected = spearmanr(uncertainty.ravel(), (predicted ^ reference).ravel()).statistic
    assert scores["spearman"].value == pytest.approx(expected, abs=1e-12)
    assert scores["brier"].undefined == "a mask has no probabilities"
    bare = score_mask(predicted, reference)
    assert bare["spearman"].undefined == "nothing says how uncertain the prediction is"


def test_uncertainty_is_by_default_the_entropy_of_the_probabilities() -> None:
    """The default ranks pixels as their binary entropy does."""
    rng = np.random.default_rng(4)
    chances = rng.random((30, 20))
    reference = chances + rng.normal(0, 0.3, chances.shape) > 0.5
    given_entropy = entropy(np.stack([chances, 1 - chances]), axis=0)
    default = score_mask(chances, reference)
    stated = score_mask(chances, reference, uncertainty=given_entropy)
    for name in ("spearman", "spearman-foreground"):
        assert default[name].value == pytest.approx(stated[name].value, abs=1e-12)


def test_the_foreground_alone_hides_a_model_that_says_foreground_everywhere() -> None:
    """The reason to read both: its Brier score is perfect inside and poor over the image."""
    reference = np.zeros((20, 20), bool)
    reference[5:9, 5:9] = True
    scores = score_mask(np.ones((20, 20)), reference)
    assert scores["brier-foreground"].value == 0
    assert scores["brier"].value == 1 - reference.mean()


def test_a_perfect_correlation_is_one() -> None:
    """Rounding does not push it off, and reversing it gives the opposite, for any length."""
    for n in (2, 3, 7, 1000, 99_999):
        chances = np.linspace(0, 1, n)[None]
        reference = np.zeros((1, n), bool)
        assert score_mask(chances, reference, uncertainty=chances**3)["spearman"].value == 1
        assert score_mask(chances, reference, uncertainty=-chances)["spearman"].value == -1


def test_real_vessels_equal_monais() -> None:
    """Two raters' vessels at native resolution."""
    for predicted, reference in two_raters(4):
        scores = score_mask(predicted, reference)
        assert scores["dice"].value == pytest.approx(monais("compute_dice", predicted, reference))
        assert scores["iou"].value == pytest.approx(monais("compute_iou", predicted, reference))
