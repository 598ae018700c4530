"""Ratios to the baseline in summaries: which there are, and which are marked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from stages.evaluate import relative_mean_corruption_error
from stages.evaluate.alexnet import ALEXNET
from stages.evaluate.metrics import METRICS
from stages.evaluate.scoring import score
from tests.stages.evaluate.summaries import (
    SETTINGS,
    constant,
    kinds_of,
    perfect,
    summarise,
    summary_of,
)


@pytest.mark.parametrize("lacking", ["texture", "pixels"])
def test_without_a_clean_set_there_is_no_clean_error(make_system: Any, lacking: str) -> None:
    """Nor anything relative to it; CE and mCE stay."""
    systems = {name: make_system(name) for name in ("texture", "pixels")}
    systems[lacking] = systems[lacking][1:]
    found = {metric for name, metric in summary_of(*systems.values()) if name == "texture"}
    assert "mce" in found
    assert not found & {"clean_error", "relative_mce"}
    assert ("harmonic_accuracy" in found) is (lacking == "pixels")


def test_ratios_to_a_perfect_baseline_are_marked(make_system: Any) -> None:
    """Without baseline errors there is no ratio: no value, no interval, a reason and a note."""
    base = [perfect(p) if p.corruption != "zoom_blur" else p for p in make_system("pixels")]
    found = summary_of(make_system(), base)
    for metric in ("clean_error", "ce/gaussian_noise", "mce"):
        row = found["texture", metric]
        assert (row["value"], row["ci_low"], row["ci_high"]) == (None, None, None)
        assert "baseline's error is below" in row["undefined"]
    assert found["texture", "ce/zoom_blur"]["undefined"] is None
    assert ("undefined", "gaussian_noise") in kinds_of(make_system(), base)


def test_without_a_baseline_there_is_average_accuracy_and_a_note(make_system: Any) -> None:
    """An absent baseline removes the ratios only."""
    found = summary_of(make_system())
    averages = {f"average_{name}" for name in METRICS if name != "error"}
    harmonic = {"harmonic_accuracy", "harmonic_balanced_accuracy"}
    assert {metric for _, metric in found} == averages | harmonic
    assert found["texture", "average_accuracy"]["baseline"] is None
    assert ("no-baseline", None) in kinds_of(make_system())


def test_a_baseline_that_lacks_severities_gives_no_mean(make_system: Any) -> None:
    """A CE over other severities would not be comparable, and mCE needs every CE."""
    base = [p for p in make_system("pixels") if (p.corruption, p.severity) != ("zoom_blur", 4)]
    metrics = {metric for encoder, metric in summary_of(make_system(), base) if encoder[0] == "t"}
    assert "ce/gaussian_noise" in metrics
    assert not metrics & {"ce/zoom_blur", "mce"}
    assert ("incomplete-baseline", "zoom_blur") in kinds_of(make_system(), base)


def test_relative_ratios_are_the_public_formulas(make_system: Any) -> None:
    """Relative CE and mCE are what corruption adds over what it adds to the baseline's error."""
    own, base = make_system("texture"), make_system("pixels", skill=2.0)
    errors, baselines = (
        np.array([(p.scores.argmax(axis=1) != p.labels).mean() for p in system])
        for system in (own, base)
    )
    found = summary_of(own, base)
    pair = (errors[1:].reshape(2, 5), errors[0], baselines[1:].reshape(2, 5), baselines[0])
    row = found["texture", "relative_mce"]
    assert row["value"] == pytest.approx(relative_mean_corruption_error(*pair))
    each = (errors[6:] - errors[0]).sum() / (baselines[6:] - baselines[0]).sum()
    assert found["texture", "relative_ce/zoom_blur"]["value"] == pytest.approx(each)
    assert row["ci_low"] < row["value"] < row["ci_high"]
    own_row = found["pixels", "relative_mce"]
    assert own_row["value"] == 1.0
    # Classes are balanced here, so balanced errors are the same.
    assert found["texture", "rbe"]["value"] == pytest.approx(row["value"])
    assert found["texture", "be"]["value"] == pytest.approx(found["texture", "mce"]["value"])
    assert found["texture", "be"]["baseline"] == "pixels"
    assert ("not-comparable", None) in kinds_of(own, base)


def test_relative_ratios_to_an_unharmed_or_constant_baseline_are_marked(make_system: Any) -> None:
    """Where corruption adds nothing to the baseline's error there is a reason, not a number."""
    base = make_system("pixels")
    unharmed = [
        dataclasses.replace(p, scores=base[0].scores) if p.corruption == "zoom_blur" else p
        for p in base
    ]
    found = summary_of(make_system(), unharmed)
    for metric in ("relative_ce/zoom_blur", "relative_mce", "balanced_relative_mce", "rbe"):
        row = found["texture", metric]
        assert (row["value"], row["ci_low"]) == (None, None)
        assert "adds less than 1%" in row["undefined"]
    assert found["texture", "relative_ce/gaussian_noise"]["undefined"] is None
    found = summary_of(make_system(), [constant(p) for p in base])
    assert "one class only on the clean split" in found["texture", "relative_mce"]["undefined"]
    assert found["texture", "relative_mce"]["constant_baseline"]


def test_averages_and_harmonic_means(make_system: Any) -> None:
    """Every metric has a mean over corruptions; accuracies have one with their clean value."""
    (scores,) = score(make_system(), SETTINGS).values()
    found = summary_of(make_system())
    for metric in ("auroc", "ece", "nll", "flip_rate", "detection_auroc", "macro_f1", "brier"):
        row = found["texture", f"average_{metric}"]
        assert row["value"] == pytest.approx(scores.values[metric][1:].mean())
        assert row["ci_low"] <= row["value"] <= row["ci_high"] or metric == "ece"
    clean, average = scores.values["accuracy"][0], found["texture", "average_accuracy"]["value"]
    expected = 2 * clean * average / (clean + average)
    assert found["texture", "harmonic_accuracy"]["value"] == pytest.approx(expected)


def test_medmnist_c_divides_by_its_published_errors(make_system: Any) -> None:
    """BE and rBE of its suite are relative to AlexNet, without any baseline encoder."""
    names = ("pixelate", "bubble")
    own = make_system(dataset="bloodmnist-224", corruptions=names, n=90)
    own = [dataclasses.replace(item, suite="medmnist-c") for item in own]
    found = summary_of(own, baseline="absent")
    errors = np.array([(p.scores.argmax(axis=1) != p.labels).mean() for p in own])
    each = errors[1:].reshape(2, 5).mean(axis=1)
    published = np.array([ALEXNET["bloodmnist"][name] for name in names])
    row = found["texture", "be"]
    assert row["value"] == pytest.approx((each / published).mean())
    assert row["baseline"] == "alexnet (published)"
    clean = ALEXNET["bloodmnist"]["clean"]
    relative = ((each - errors[0]) / (published - clean)).mean()
    assert found["texture", "rbe"]["value"] == pytest.approx(relative)
    assert ("texture", "mce") not in found
    _, notes = summarise(score(own, SETTINGS), "absent")
    (told,) = [note.message for note in notes if note.kind == "not-comparable"]
    assert "official files" in told
    elsewhere = [dataclasses.replace(item, split="val") for item in own]
    partly = [item for item in own if (item.corruption, item.severity) != ("bubble", 5)]
    for other in (elsewhere, partly):
        assert ("texture", "be") not in summary_of(other, baseline="absent")


def test_published_losses_too_small_to_divide_by_are_marked(make_system: Any) -> None:
    """AlexNet errs less on PneumoniaMNIST with more contrast: rBE there has no value."""
    own = make_system(dataset="pneumoniamnist", corruptions=("contrast_up", "pixelate"), classes=2)
    found = summary_of([dataclasses.replace(item, suite="medmnist-c") for item in own])
    assert found["texture", "rbe/contrast_up"]["value"] is None
    assert found["texture", "rbe/pixelate"]["value"] is not None
    assert found["texture", "rbe"]["value"] is None
    assert found["texture", "be"]["value"] is not None
