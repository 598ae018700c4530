"""From predictions to result rows, summary rows and notes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.evaluate import corruption_error, mean_corruption_error
from stages.evaluate.bootstrap import Resampling
from stages.evaluate.columns import RESULT_COLUMNS, SUMMARY_COLUMNS, ordered, to_table
from stages.evaluate.metrics import METRICS
from stages.evaluate.notes import trends
from stages.evaluate.predictions import Predictions, by_split
from stages.evaluate.scoring import result_rows, score
from stages.evaluate.summary import summarise_predictions
from tests.stages.evaluate.summaries import (
    SETTINGS,
    constant,
    from_result_rows,
    kinds_of,
    perfect,
    summarise,
    summary_of,
)


def test_there_is_one_result_row_per_set_and_metric(make_system: Any) -> None:
    """Rows carry the whole identity of their set and system, the metric, n and an interval."""
    scores = score(make_system(), SETTINGS)
    rows = [row for own in scores.values() for row in result_rows(own)]
    # And the recall of each of three classes.
    assert len(rows) == 11 * (len(METRICS) + 3)
    first = rows[0]
    assert {column.name for column in RESULT_COLUMNS} == set(first)
    assert (first["corruption"], first["severity"], first["n"]) == ("clean", 0, 60)
    assert all(row["ci_low"] <= row["ci_high"] for row in rows)
    assert all(sum(row["predicted_counts"]) == 60 for row in rows)
    item = make_system()[3]
    expected = (item.scores.argmax(axis=1) == item.labels).mean()
    cell = {
        row["metric"]: row["value"]
        for row in rows
        if (row["corruption"], row["severity"]) == (item.corruption, item.severity)
    }
    assert cell["accuracy"] == pytest.approx(expected)
    assert cell["error"] == pytest.approx(1 - expected)


def test_rows_are_plain_json_and_fit_their_columns(make_system: Any) -> None:
    """Both kinds of rows become JSON without NaN, and Parquet columns with unit and meaning."""
    scores = score([*make_system(), *map(perfect, make_system("pixels"))], SETTINGS)
    results = [row for own in scores.values() for row in result_rows(own)]
    summary, _ = summarise(scores, "pixels")
    for rows, columns in ((results, RESULT_COLUMNS), (summary, SUMMARY_COLUMNS)):
        json.dumps(ordered(rows, columns), allow_nan=False)
        assert all(set(row) == {column.name for column in columns} for row in rows)
        table = to_table(rows, columns)
        assert table.num_rows == len(rows)
        assert all({b"unit", b"meaning"} == set(field.metadata) for field in table.schema)
        assert all(column.meaning for column in columns)


def test_summary_values_are_the_public_formulas(make_system: Any) -> None:
    """CE, mCE, clean error and average accuracy come from the errors as Eq. 6 to 8 say."""
    own, base = make_system("texture"), make_system("pixels", skill=1.0)
    errors, baselines = (
        np.array([(p.scores.argmax(axis=1) != p.labels).mean() for p in system])
        for system in (own, base)
    )
    found = summary_of(own, base)
    grid, base_grid = errors[1:].reshape(2, 5), baselines[1:].reshape(2, 5)
    ratios = corruption_error(grid, base_grid)
    assert found["texture", "clean_error"]["value"] == pytest.approx(errors[0] / baselines[0])
    covered = found["texture", "clean_error"]
    assert (covered["corruptions"], covered["severities"]) == (0, [0])
    assert found["texture", "ce/gaussian_noise"]["value"] == pytest.approx(ratios[0])
    mce = mean_corruption_error(grid, base_grid)
    assert found["texture", "mce"]["value"] == pytest.approx(mce)
    assert found["texture", "average_accuracy"]["value"] == pytest.approx(1 - grid.mean())
    assert found["texture", "mce"]["severities"] == [1, 2, 3, 4, 5]
    assert found["texture", "mce"]["corruptions"] == 2
    assert ("texture", "balanced_mce") in found


def test_intervals_are_paired_over_sets_and_encoders(make_system: Any) -> None:
    """The interval of mCE is that of mCE in each joint resample, found here one at a time."""
    own, base = make_system("texture"), make_system("pixels", skill=1.0)
    row = summary_of(own, base)["texture", "mce"]
    weights = Resampling.draw("toy", "test", own[0].ids, None, SETTINGS).weights
    replicates = []
    for count in weights:
        errors = [
            [np.average(p.scores.argmax(axis=1) != p.labels, weights=count) for p in system[1:]]
            for system in (own, base)
        ]
        grids = (np.reshape(values, (2, 5)) for values in errors)
        replicates.append(mean_corruption_error(*grids))
    expected = np.quantile(replicates, [0.025, 0.975])
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(expected.tolist())


def test_the_baseline_against_itself_is_exactly_one(make_system: Any) -> None:
    """Joint resampling makes the baseline's own ratios 1 without any width."""
    row = summary_of(make_system("pixels", skill=1.0))["pixels", "mce"]
    assert (row["value"], row["ci_low"], row["ci_high"]) == (1.0, 1.0, 1.0)


def test_adding_an_encoder_changes_no_row_of_another(make_system: Any) -> None:
    """What is computed for one encoder does not depend on which others are there."""
    own, base = make_system("texture"), make_system("pixels", skill=1.0)
    alone, together = summary_of(own, base), summary_of(own, base, make_system("third"))
    assert all(together[key] == row for key, row in alone.items())
    assert len(together) > len(alone)


def test_patients_are_resampled_where_known(make_system: Any) -> None:
    """With several images per patient intervals are drawn by patient, and rows say so."""
    groups = tuple(f"patient-{i // 6}" for i in range(60))
    row = summary_of(make_system(groups=groups), baseline="texture")["texture", "average_accuracy"]
    assert (row["resampled_by"], row["units"], row["n"]) == ("patient", 10, 60)


def test_a_constant_predictor_is_flagged(make_system: Any) -> None:
    """Its rows carry the flag, its summary and the notes too, and balanced accuracy is 1/K."""
    own = [constant(item) for item in make_system()]
    scores = score(own, SETTINGS)
    rows = [row for found in scores.values() for row in result_rows(found)]
    assert all(row["constant_predictor"] for row in rows)
    assert rows[0]["predicted_counts"] == [60, 0, 0]
    balanced = [row["value"] for row in rows if row["metric"] == "balanced_accuracy"]
    assert balanced == pytest.approx([1 / 3] * 11)
    base = make_system("pixels")
    found = summary_of(own, base, baseline="texture")
    assert found["texture", "mce"]["constant_predictor"]
    assert found["pixels", "mce"]["constant_baseline"]
    assert not found["pixels", "mce"]["constant_predictor"]
    assert ("constant", None) in kinds_of(own)


def labelled(item: Predictions, scores: np.ndarray | None = None) -> Predictions:
    """Return the predictions as those of a multi-label task, each sample having two labels."""
    first, second = np.eye(3, dtype=np.int64)[[item.labels, (item.labels + 1) % 3]]
    return dataclasses.replace(
        item, labels=first + second, scores=item.scores if scores is None else scores
    )


def test_a_multi_label_task_goes_to_rows_and_notes(make_system: Any) -> None:
    """Positives are counted per class, every ratio exists, and a note states the base rate."""
    systems = [list(map(labelled, make_system(name))) for name in ("texture", "pixels")]
    scores = score([item for system in systems for item in system], SETTINGS)
    own = next(iter(scores.values()))
    first = result_rows(own)[0]
    assert first["predicted_counts"] == (systems[0][0].scores > 0.5).sum(axis=0).tolist()
    rows, notes = summarise(scores, "pixels")
    names = {row["metric"] for row in rows if row["value"] is not None}
    assert {"clean_error", "mce", "average_accuracy", "balanced_mce"} <= names
    (note, _) = [note for note in notes if note.kind == "multi-label"]
    assert "has accuracy 0.3333" in note.message


def test_the_same_labels_for_every_image_are_flagged(make_system: Any) -> None:
    """A set whose images all get the same labels is constant, any other answer is not."""
    same = np.tile([0.9, 0.1, 0.8], (60, 1))
    other = same.copy()
    other[7, 1] = 0.6
    for answer, expected in ((same, True), (other, False)):
        own = score([labelled(make_system()[0], answer)], SETTINGS)
        (scores,) = own.values()
        assert scores.constant.tolist() == [expected]


def test_only_the_aggregates_that_cover_a_constant_set_are_flagged(make_system: Any) -> None:
    """One constant set marks its corruption and the means, not the other corruption."""
    own = make_system()
    own[1] = constant(own[1])
    found = summary_of(own, make_system("pixels"))
    flags = {metric: row["constant_predictor"] for (e, metric), row in found.items() if e[0] == "t"}
    assert flags["ce/gaussian_noise"]
    assert flags["mce"]
    assert flags["average_accuracy"]
    assert not flags["ce/zoom_blur"]
    assert not flags["clean_error"]


def test_a_constant_answer_on_the_clean_set_flags_what_covers_it(make_system: Any) -> None:
    """Harmonic means and relative ratios do, averages over corruptions do not."""
    own = make_system(corruptions=("brightness", "zoom_blur"))
    flat = [constant(own[0]), *own[1:]]
    found = {metric: row["constant_predictor"] for (_, metric), row in summary_of(flat).items()}
    assert found["harmonic_accuracy"]
    assert not found["average_accuracy"]
    own[1] = constant(own[1])  # brightness, which comes before "clean"
    found = {metric: row["constant_predictor"] for (_, metric), row in summary_of(own).items()}
    assert found["average_accuracy"]
    assert found["harmonic_accuracy"]


def test_the_summary_from_predictions_is_that_from_scores(make_system: Any) -> None:
    """One encoder at a time gives the rows that all together give."""
    own, base = make_system("texture"), make_system("pixels", skill=1.0)
    together, _ = summarise(score([*own, *base], SETTINGS), "pixels")
    alone, _ = summarise_predictions(own, base, "pixels", SETTINGS)
    itself, _ = summarise_predictions(base, [], "pixels", SETTINGS)
    assert [*alone, *itself] == together
    lonely, notes = summarise_predictions(own, [], "pixels", SETTINGS)
    assert {row["baseline"] for row in lonely} == {None}
    assert "no-baseline" in {note.kind for note in notes}


def test_selections_of_severities_and_corruptions_are_summarised(make_system: Any) -> None:
    """A narrowed run has ratios over what it covers, and says what that is."""
    own, base = (
        make_system(e, corruptions=("contrast",), severities=(3,)) for e in ("t", "pixels")
    )
    row = summary_of(own[1:], base[1:])["t", "mce"]
    assert (row["corruptions"], row["severities"]) == (1, [3])
    assert ("t", "clean_error") not in summary_of(own[1:], base[1:])
    assert {metric for _, metric in summary_of(own[:1], base[:1])} == {
        "clean_error",
        "balanced_clean_error",
    }


def test_accuracies_that_do_not_fall_with_severity_are_reported(make_system: Any) -> None:
    """A corruption that does no harm gets a note; one that does gets none."""
    own = make_system(loss=0.6)
    clean = own[0].scores
    own = [dataclasses.replace(p, scores=clean) if p.corruption == "zoom_blur" else p for p in own]
    kinds = kinds_of(own)
    assert ("does-not-fall", "zoom_blur") in kinds
    assert ("does-not-fall", "gaussian_noise") not in kinds
    (scores,) = score(own, SETTINGS).values()
    found = {(t.corruption, t.metric): t for t in trends(scores)}
    assert not found["zoom_blur", "accuracy"].falls
    assert found["mean", "balanced_accuracy"].falls
    assert (found["mean", "accuracy"].mildest, found["mean", "accuracy"].severest) == (1, 5)


def test_auroc_of_a_single_class_split_is_undefined(make_system: Any) -> None:
    """Without two classes there is no curve: the value is absent, the rest is there."""
    own = [dataclasses.replace(p, labels=np.zeros(60, np.int64)) for p in make_system()]
    (scores,) = score(own, SETTINGS).values()
    values = {row["metric"]: row["value"] for row in result_rows(scores)[: len(METRICS)]}
    assert values["auroc"] is None
    assert values["accuracy"] is not None


def test_result_rows_read_back_give_the_same_summary_values(make_system: Any) -> None:
    """Ratios can be had again from the stored rows alone, without intervals."""
    scores = score([*make_system(), *make_system("pixels", skill=1.0)], SETTINGS)
    rows = [row for own in scores.values() for row in result_rows(own)]
    stored = to_table(rows, RESULT_COLUMNS).to_pylist()
    (first, _), (second, _) = (summarise(s, "pixels") for s in (scores, from_result_rows(stored)))
    assert [(r["metric"], r["value"]) for r in first] == [(r["metric"], r["value"]) for r in second]
    assert all(row["ci_low"] is None for row in second)


def test_sets_come_in_order_of_corruption_and_severity(make_system: Any) -> None:
    """The order of rows does not depend on the order in which severities arrive."""
    own = make_system()
    shuffled = [own[i] for i in (5, 0, 4, 3, 2, 1, *range(10, 5, -1))]
    ((sets,),) = (systems.values() for systems in by_split(shuffled).values())
    assert [(p.corruption, p.severity) for p in sets] == [(p.corruption, p.severity) for p in own]


def test_sets_of_other_samples_are_refused(make_system: Any) -> None:
    """Sets that cannot be resampled jointly are an error that names both."""
    own = make_system()
    odd = dataclasses.replace(own[2], ids=(*own[2].ids[:-1], "stranger"))
    with pytest.raises(DataError, match="gaussian_noise/2: not the same samples"):
        score([*own[:2], odd], SETTINGS)
    with pytest.raises(DataError, match="gaussian_noise/1: given twice"):
        score([*own, own[1]], SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"severity": 2}, "severity 0 is the clean split"),
        ({"labels": np.full(60, 3)}, "labels from 3 to 3 where there are 3 classes"),
        ({"labels": np.zeros(60)}, "labels of shape"),
        ({"labels": np.zeros((60, 2), int)}, "labels of shape"),
        ({"labels": np.full((60, 3), 2)}, "labels from 2 to 2 where each is 0 or 1"),
        ({"scores": np.full((60, 3), np.nan)}, "not finite"),
        ({"scores": np.ones((59, 3))}, "scores of shape"),
        ({"ids": ("same",) * 60}, "ids repeat"),
        ({"groups": ("a",)}, "1 patients for 60 samples"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(
    make_system: Any, change: dict[str, Any], message: str
) -> None:
    """Each fault is one line that names the set."""
    with pytest.raises(DataError, match=message) as caught:
        dataclasses.replace(make_system()[0], **change)
    assert str(caught.value).startswith("medimeta-c/toy/test, texture, linear-probe, clean/")
