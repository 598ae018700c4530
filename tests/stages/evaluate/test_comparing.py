"""Differences between two encoders, with intervals, tests and corrections."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.evaluate.bootstrap import Resampling
from stages.evaluate.columns import COMPARISON_COLUMNS, ordered, to_table
from stages.evaluate.comparing import MCNEMAR, RANDOMISATION, compare
from stages.evaluate.measure_tables import comparison_tables
from stages.evaluate.pairs import comparable, corrected
from stages.evaluate.predictions import Predictions
from stages.evaluate.schema import Bootstrap
from stages.evaluate.scoring import Row, score
from stages.evaluate.tables import as_text
from tests.stages.evaluate.summaries import summarise

SETTINGS = Bootstrap(resamples=200)
Systems = tuple[list[Predictions], list[Predictions], list[Predictions]]


@pytest.fixture
def systems(make_system: Any) -> Systems:
    """Return a better and a worse encoder, and a baseline."""
    skills = (("better", 2.5), ("worse", 1.5), ("pixels", 1.0))
    found = [make_system(name, skill=skill, n=120) for name, skill in skills]
    return found[0], found[1], found[2]


def aggregates(rows: list[Row]) -> dict[str, Row]:
    """Return the rows of aggregates by metric."""
    return {row["metric"]: row for row in rows if row["corruption"] is None}


def test_there_is_a_row_per_set_and_aggregate(systems: Systems) -> None:
    """Rows are plain JSON and fit their columns; every set both have is compared."""
    rows = corrected(compare(*systems, SETTINGS))
    assert len(rows) == 11 + 1 + 4
    assert all(set(row) == {c.name for c in COMPARISON_COLUMNS} for row in rows)
    json.dumps(ordered(rows, COMPARISON_COLUMNS), allow_nan=False)
    table = to_table(rows, COMPARISON_COLUMNS)
    assert all({b"unit", b"meaning"} == set(field.metadata) for field in table.schema)
    assert set(aggregates(rows)) == {
        "average_accuracy",
        "mce",
        "average_balanced_accuracy",
        "balanced_mce",
    }
    assert {row["test"] for row in rows if row["corruption"]} == {MCNEMAR, RANDOMISATION}


def test_values_are_those_of_the_summary(systems: Systems) -> None:
    """Both values and their difference agree with the aggregates of each encoder."""
    rows, _ = summarise(score([p for s in systems for p in s], SETTINGS), "pixels")
    told = {(row["encoder"], row["metric"]): row["value"] for row in rows}
    for metric, row in aggregates(compare(*systems, SETTINGS)).items():
        assert row["value_a"] == pytest.approx(told["better", metric])
        assert row["value_b"] == pytest.approx(told["worse", metric])
        assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
        assert row["baseline"] == ("pixels" if "mce" in metric else None)


def test_intervals_are_those_of_paired_resamples(systems: Systems) -> None:
    """The interval of a difference is that of the difference in each joint resample."""
    a, b, _ = systems
    weights = Resampling.draw("toy", "test", a[0].ids, None, SETTINGS).weights
    right = [np.array([p.scores.argmax(axis=1) == p.labels for p in s[1:]]) for s in (a, b)]
    replicates = [np.average((right[0] * 1.0 - right[1]).mean(axis=0), weights=w) for w in weights]
    row = aggregates(compare(*systems, SETTINGS))["average_accuracy"]
    expected = np.quantile(replicates, [0.025, 0.975])
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(expected.tolist())


def test_the_better_encoder_is_told_from_the_worse(systems: Systems) -> None:
    """A large difference has a small p-value, in whichever order the two are given."""
    a, b, base = systems
    forth, back = (aggregates(compare(*pair, base, SETTINGS)) for pair in ((a, b), (b, a)))
    for metric, row in forth.items():
        assert row["p"] < 0.01
        assert row["p"] == back[metric]["p"]
        assert row["difference"] == pytest.approx(-back[metric]["difference"])


def test_an_encoder_does_not_differ_from_itself(make_system: Any, systems: Systems) -> None:
    """Equal answers have no difference, an interval of no width and p = 1."""
    a = systems[0]
    twin = [dataclasses.replace(item, encoder="twin") for item in a]
    for row in compare(a, twin, systems[2], SETTINGS):
        assert (row["difference"], row["ci_low"], row["ci_high"], row["p"]) == (0, 0, 0, 1)


def test_the_baseline_may_be_one_of_the_two(systems: Systems) -> None:
    """Its own mCE is 1, and it is exchanged with the other in the test."""
    a, _, base = systems
    row = aggregates(compare(a, base, base, SETTINGS))["mce"]
    assert (row["value_b"], row["baseline"]) == (1.0, "pixels")
    assert row["value_a"] < 1
    assert row["p"] < 0.01
    without = compare(a, base, [], SETTINGS)
    assert set(aggregates(without)) == {"average_accuracy", "average_balanced_accuracy"}


def test_p_values_of_equals_are_uniform(make_system: Any) -> None:
    """Between encoders of one skill p is below 0.2 about a fifth of the time, in mCE as well."""
    p: dict[str, list[float]] = {}
    for trial in range(60):
        made = {"n": 45, "seed": trial, "severities": (1, 3)}
        a, b, base = (make_system(name, skill=1.0, **made) for name in ("a", "bb", "ccc"))
        for against in (base, b):
            for metric, row in aggregates(compare(a, b, against, Bootstrap(resamples=0))).items():
                p.setdefault(f"{metric} {against[0].encoder}", []).append(row["p"])
    assert len(p) == 8
    assert all(0.05 <= np.mean(np.array(values) < 0.2) <= 0.35 for values in p.values())


def test_patients_are_exchanged_together(make_system: Any) -> None:
    """With several images per patient no test treats them as independent answers."""
    groups = tuple(f"patient-{i // 30}" for i in range(120))
    a, b = (make_system(e, skill=s, n=120, groups=groups) for e, s in (("a", 2.5), ("bb", 1.5)))
    rows = compare(a, b, [], SETTINGS)
    assert {row["test"] for row in rows} == {RANDOMISATION}
    assert all((row["resampled_by"], row["units"]) == ("patient", 4) for row in rows)
    # Four patients can be exchanged in sixteen ways: two of them are as extreme as any can be.
    assert min(row["p"] for row in rows) > 0.1


def test_multi_label_answers_are_compared_by_the_share_that_is_right(make_system: Any) -> None:
    """Accuracy and balanced accuracy of labels agree with the summary; no image is all or none."""
    labels = np.eye(3, dtype=np.int64)[np.arange(60) % 3] + np.eye(3, dtype=np.int64)[0]
    labels = np.minimum(labels, 1)
    a, b = (
        [dataclasses.replace(item, labels=labels) for item in make_system(e, skill=s)]
        for e, s in (("a", 2.5), ("bb", 1.5))
    )
    told, _ = summarise(score([*a, *b], SETTINGS), "bb")
    values = {(row["encoder"], row["metric"]): row["value"] for row in told}
    for metric, row in aggregates(compare(a, b, b, SETTINGS)).items():
        assert row["value_a"] == pytest.approx(values["a", metric])
        assert row["test"] == RANDOMISATION


def test_other_samples_are_refused(systems: Systems) -> None:
    """What cannot be paired is an error that names both."""
    a, b, _ = systems
    odd = [dataclasses.replace(b[0], ids=(*b[0].ids[:-1], "stranger")), *b[1:]]
    with pytest.raises(DataError, match="not the same samples"):
        compare(a, odd, [], SETTINGS)


def test_only_sets_that_both_have_are_compared(make_system: Any) -> None:
    """Averages are over what is shared; a baseline that lacks some of it gives no mCE."""
    a, b = make_system("a"), make_system("bb", corruptions=("zoom_blur",))
    rows = compare(a, b, make_system("pixels", corruptions=("gaussian_noise",)), SETTINGS)
    assert {row["corruption"] for row in rows} == {"clean", "zoom_blur", None}
    assert set(aggregates(rows)) == {"average_accuracy", "average_balanced_accuracy"}
    assert compare(a[:1], b[1:], [], SETTINGS) == []


def test_corrections_are_over_pairs_and_datasets_of_one_metric(systems: Systems) -> None:
    """Families are the clean sets, the corrupted ones and each aggregate of one protocol."""
    a, b, base = systems
    rows = [*compare(a, b, base, SETTINGS), *compare(a, base, base, SETTINGS)]
    other = [row | {"protocol": "zero-shot"} for row in compare(b, base, base, SETTINGS)]
    found = corrected([*rows, *other])
    sizes = {
        (
            row["protocol"],
            row["metric"],
            row["corruption"] == "clean",
            row["severity"] is None,
        ): row["family"]
        for row in found
    }
    assert sizes["linear-probe", "mce", False, True] == 2
    assert sizes["zero-shot", "mce", False, True] == 1
    assert sizes["linear-probe", "accuracy", True, False] == 2
    assert sizes["linear-probe", "accuracy", False, False] == 20
    assert all(row["p"] <= row["p_bh"] <= row["p_holm"] for row in found)


def test_pairs_differ_in_their_encoder_alone(systems: Systems) -> None:
    """Each pair once, in the order given; few-shot systems are left out."""
    named = [system[0].system for system in systems]
    others = [one._replace(protocol="zero-shot") for one in named[:2]]
    few = [one._replace(k=4) for one in named]
    found = comparable([*named, *others, *few])
    assert [(a.encoder, b.encoder, a.protocol) for a, b in found] == [
        ("better", "worse", "linear-probe"),
        ("better", "pixels", "linear-probe"),
        ("worse", "pixels", "linear-probe"),
        ("better", "worse", "zero-shot"),
    ]


def test_the_table_marks_clear_differences(systems: Systems) -> None:
    """One row per pair, one column per dataset, percentage points with their sign."""
    rows = corrected(compare(*systems, SETTINGS))
    (table,) = comparison_tables(rows)
    difference = aggregates(rows)["average_balanced_accuracy"]["difference"]
    assert list(table.rows()) == [("better", "- worse", f"{100 * difference:+.1f}*")]
    assert "Holm-corrected in a family of 1" in as_text(table)
    assert comparison_tables([]) == []
