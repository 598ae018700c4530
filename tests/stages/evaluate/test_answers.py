"""The sentences of a report say what the numbers say, and how sure they are."""

from __future__ import annotations

from typing import Any

import pytest

from stages.evaluate.answers import answers, drops
from stages.evaluate.figures.few_shot import few_shot_curves, few_shot_panels
from stages.evaluate.figures.ranking import ranked, ranking_panels
from stages.evaluate.figures.severity import (
    error_by_severity,
    relative_severity_panels,
    severity_panels,
)
from stages.evaluate.figures.tradeoff import tradeoff_panels
from stages.evaluate.figures.views import views

SYSTEM = {"suite": "s", "split": "test", "protocol": "linear-probe", "seed": 0}
KEPT = {"strong": 0.9, "weak": 0.6}
SETS = (("clean", 0, 0.0), ("contrast", 1, 0.1), ("contrast", 2, 0.3), ("zoom_blur", 1, 0.1))


def results() -> list[dict[str, Any]]:
    """Return accuracies of two encoders on two datasets, clean and under two corruptions."""
    rows = []
    for dataset in ("oct", "pbc"):
        for encoder, clean in KEPT.items():
            for corruption, severity, lost in SETS:
                common = {
                    **SYSTEM, "dataset": dataset, "encoder": encoder, "corruption": corruption,
                    "severity": severity, "n": 50, "resamples": 100, "confidence": 0.95,
                    "resampled_by": "image", "constant_predictor": False,
                }  # fmt: skip
                value = clean - lost
                metrics = {"accuracy": value, "balanced_accuracy": value, "error": 1 - value}
                rows += [{**common, "metric": name, "value": v} for name, v in metrics.items()]
    return rows


def summary() -> list[dict[str, Any]]:
    """Return the aggregates of the same, with intervals."""
    rows = []
    for dataset in ("oct", "pbc"):
        for encoder, clean in KEPT.items():
            for metric, value in (
                ("average_balanced_accuracy", clean - 0.15),
                ("average_accuracy", clean - 0.15),
                ("mce", 0.5 if encoder == "strong" else 1.0),
            ):
                rows.append(
                    {
                        **SYSTEM, "dataset": dataset, "encoder": encoder, "metric": metric,
                        "value": value, "ci_low": value - 0.02, "ci_high": value + 0.02,
                        "baseline": "weak" if metric == "mce" else None,
                    }
                )  # fmt: skip
    return rows


def compared(**p_values: float) -> list[dict[str, Any]]:
    """Return comparisons by dataset, the weak encoder named first."""
    return [
        {
            **SYSTEM, "dataset": dataset, "encoder_a": "weak", "encoder_b": "strong",
            "metric": "average_balanced_accuracy", "difference": -0.3, "ci_low": -0.4,
            "ci_high": -0.2, "p_holm": p,
        }
        for dataset, p in p_values.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("p_values", "phrases"),
    [
        ({"oct": 0.001, "pbc": 0.01}, ("strong is the most robust under linear-probe: mean",)),
        ({"oct": 0.001, "pbc": 0.4}, ("not clearly on every dataset", "on 1 of 2 datasets")),
        ({"oct": 0.2, "pbc": 0.4}, ("No encoder is clearly the most robust", "on 0 of 2")),
        ({}, ("No encoder is clearly the most robust", "strong has the highest")),
    ],
)
def test_the_lead_is_as_sure_as_it_is_said(
    p_values: dict[str, float], phrases: tuple[str, ...]
) -> None:
    """The words follow the corrected p-values; the sign is that of the first encoder's lead."""
    (view,) = views(results(), summary())
    text = " ".join(answers(view, compared(**p_values)))
    assert all(phrase in text for phrase in phrases)
    assert "75.0 %, mean over 2 datasets; then weak 45.0 %" in text
    assert ("+30.0 [+20.0, +40.0]" in text) == bool(p_values)
    assert "What costs strong most is contrast (-20.0" in text
    assert "zoom blur (-10.0)" in text
    assert "95% intervals from 100 bootstrap resamples by image" in text


def test_a_constant_predictor_is_told() -> None:
    """An encoder that gives one class only is named, with where."""
    rows = [{**row, "constant_predictor": row["encoder"] == "weak"} for row in results()]
    (view,) = views(rows, summary())
    assert "weak predicts a single class on pbc" in " ".join(answers(view))


def test_drops_are_means_over_severities_and_datasets() -> None:
    """The largest comes first."""
    (view,) = views(results(), summary())
    assert drops(view, "strong") == pytest.approx({"contrast": 0.2, "zoom_blur": 0.1})
    assert list(drops(view, "strong")) == ["contrast", "zoom_blur"]


def test_ranking_is_over_the_datasets_that_all_have() -> None:
    """A dataset that one encoder lacks counts for none; lower is better for mCE."""
    partial = [r for r in summary() if (r["dataset"], r["encoder"]) != ("pbc", "weak")]
    (view,) = views(results(), partial)
    for measure in ("mce", "average_accuracy"):
        first, second = ranked(view, measure)
        assert (first.encoder, second.encoder) == ("strong", "weak")
        assert set(first.by_dataset) == set(second.by_dataset) == {"oct"}


def test_errors_by_severity() -> None:
    """Each severity is the mean over the corruptions that have it; 0 is clean."""
    (view,) = views(results(), summary())
    assert error_by_severity(view, "oct", "strong") == pytest.approx({0: 0.1, 1: 0.2, 2: 0.4})


def test_panels_are_of_the_numbers() -> None:
    """There is a panel per dataset or measure, each telling its numbers in words."""
    (view,) = views(results(), summary())
    assert [panel.title for panel in severity_panels(view)] == ["oct: error, %", "pbc: error, %"]
    relative = relative_severity_panels(view)
    assert "strong from 25.0 to 57.1; weak from 100.0 to 100.0" in relative[0].alt
    assert "strong 75.0 % accuracy, mCE 50.0" in tradeoff_panels(view)[0].alt
    assert "strong 50.0, weak 100.0" in ranking_panels(view)[-1].alt
    names = [p.name for make in (severity_panels, tradeoff_panels) for p in make(view)]
    assert len(set(names)) == len(names)


def test_few_shot_curves() -> None:
    """Values of one amount are kept by seed; the title says how many seeds and what it is."""
    rows = [
        {
            **row, "fraction": fraction, "k": None, "seed": seed,
            "value": row["value"] + fraction + seed / 100,
        }
        for row in summary()
        for fraction in (0.01, 0.1)
        for seed in range(5)
    ]  # fmt: skip
    curves = few_shot_curves(rows, "average_accuracy")
    assert {(one.dataset, one.axis, one.seeds) for one in curves} == {
        ("oct", "fraction", 5), ("pbc", "fraction", 5),
    }  # fmt: skip
    strong = curves[0].curves[0]
    assert strong.values[0.01] == pytest.approx([0.76 + seed / 100 for seed in range(5)])
    assert few_shot_panels(rows)[0].title == "oct: frozen-feature few-shot, 5 seeds"
    assert views([], rows) == []
