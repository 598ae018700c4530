"""The terminal tables, from rows to text."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from stages.evaluate.measure_tables import measure_tables
from stages.evaluate.schema import Bootstrap
from stages.evaluate.scoring import Row, result_rows, score
from stages.evaluate.tables import Table, accuracy_tables, as_text, error_tables
from tests.stages.evaluate.summaries import summarise

ORDER = ("contrast", "fog", "gaussian_noise")


def rows_of(predictions: list[Any]) -> tuple[list[Row], list[Row]]:
    """Return result and summary rows against the encoder `pixels`."""
    scores = score(predictions, Bootstrap(resamples=50))
    results = [row for own in scores.values() for row in result_rows(own)]
    return results, summarise(scores, "pixels")[0]


def cells_of(table: Table) -> dict[tuple[str, str], dict[str, str]]:
    """Return the cells by dataset and encoder, then by column."""
    return {row[:2]: dict(zip(table.columns, row[1:], strict=True)) for row in table.rows()}


def test_both_layouts_show_what_the_rows_say(make_system: Any) -> None:
    """Columns are in the paper's order, other corruptions after; values are times 100."""
    systems = [
        make_system(encoder, dataset=dataset, corruptions=ORDER, skill=skill)
        for dataset in ("blood", "chest")
        for encoder, skill in (("pixels", 1.0), ("texture", 2.0))
    ]
    results, summary = rows_of([item for system in systems for item in system])
    (errors,) = error_tables(summary)
    (accuracies,) = accuracy_tables(results, summary)
    heads = ("Encoder", "Clean", "Gauss.", "Contrast", "fog")
    assert errors.columns == (*heads, "mCE", "95% interval", "n")
    assert accuracies.columns == (*heads, "Mean", "95% interval", "n")
    assert "pixels" in errors.title
    assert "linear-probe" in errors.title
    assert [block.dataset for block in errors.blocks] == ["blood", "chest"]
    own = {row["metric"]: row for row in summary if row["dataset"] == "chest"}
    shown = cells_of(errors)["chest", "texture"]
    assert shown["mCE"] == f"{100 * own['mce']['value']:.1f}"
    assert shown["95% interval"] == (
        f"[{100 * own['mce']['ci_low']:.1f}, {100 * own['mce']['ci_high']:.1f}]"
    )
    assert shown["n"] == "60"
    assert cells_of(errors)["blood", "pixels"]["mCE"] == "100.0"
    mean = f"{100 * own['average_accuracy']['value']:.2f}"
    assert cells_of(accuracies)["chest", "texture"]["Mean"] == mean
    assert cells_of(accuracies)["chest", "texture"]["95% interval"].startswith("[")


def test_constant_predictors_and_undefined_ratios_are_marked(make_system: Any) -> None:
    """Marks stand beside the numbers they concern and a legend explains each that is used."""
    own, base = make_system("texture"), make_system("pixels")
    own[0] = dataclasses.replace(own[0], scores=np.eye(3)[np.zeros(60, np.int64)])
    base[1:6] = [dataclasses.replace(p, scores=np.eye(3)[p.labels]) for p in base[1:6]]
    results, summary = rows_of(own + base)
    (errors,), (accuracies,) = error_tables(summary), accuracy_tables(results)
    shown = cells_of(errors)["toy", "texture"]
    assert shown["Clean"].endswith("†")
    assert (shown["Gauss."], shown["mCE"], shown["95% interval"]) == ("n/a", "n/a", "")
    assert cells_of(accuracies)["toy", "texture"]["Clean"] == "33.33†"
    assert cells_of(accuracies)["toy", "texture"]["95% interval"] == ""
    assert [note[:3] for note in errors.notes] == ["n/a", "† c"]
    (clean,) = error_tables(rows_of(base + own)[1])
    assert clean.notes == errors.notes
    assert accuracies.notes == (errors.notes[1],)


def test_a_constant_baseline_is_marked(make_system: Any) -> None:
    """A ratio to a baseline that predicts one class only carries a mark of its own."""
    base = [
        dataclasses.replace(p, scores=np.eye(3)[np.zeros(60, np.int64)])
        for p in make_system("pixels")
    ]
    (errors,) = error_tables(rows_of(make_system() + base)[1])
    assert cells_of(errors)["toy", "texture"]["mCE"].endswith("‡")
    assert cells_of(errors)["toy", "pixels"]["mCE"].endswith("†‡")


def test_text_is_plain_and_never_cut(make_system: Any, monkeypatch: Any) -> None:
    """Every cell appears whole in narrow and dumb terminals, without control characters."""
    results, summary = rows_of(make_system("pixels") + make_system("a-very-long-encoder-name"))
    tables = [*error_tables(summary), *accuracy_tables(results, summary)]
    texts = [as_text(table) for table in tables]
    for table, text in zip(tables, texts, strict=True):
        assert text.startswith(table.title)
        assert not {"\x1b", "\r"} & set(text)
        assert all(cell in text for row in table.rows() for cell in row)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "dumb")
    assert [as_text(table) for table in tables] == texts


def test_other_metrics_and_balanced_ratios_have_tables_too(make_system: Any) -> None:
    """Balanced accuracy and AUROC fit the layout of Table 3, balanced ratios that of Table 2."""
    results, summary = rows_of(make_system() + make_system("pixels", skill=1.0))
    (balanced,) = accuracy_tables(results, summary, metric="balanced_accuracy")
    assert balanced.title.startswith("Balanced accuracy")
    assert cells_of(balanced)["toy", "texture"]["95% interval"].startswith("[")
    (areas,) = accuracy_tables(results, summary, metric="auroc")
    assert float(cells_of(areas)["toy", "texture"]["Clean"]) > 90
    (errors,) = error_tables(summary, family="balanced_")
    assert cells_of(errors)["toy", "texture"]["mCE"]


def test_protocols_have_tables_of_their_own(make_system: Any) -> None:
    """Systems that differ in protocol or template never share a table."""
    own = make_system("pixels")
    other = [dataclasses.replace(p, protocol="zero-shot", template="paper") for p in own]
    results, summary = rows_of(own + other)
    assert len(error_tables(summary)) == len(accuracy_tables(results)) == 2
    assert "template paper" in error_tables(summary)[1].title
    assert error_tables([]) == accuracy_tables([]) == []


def test_other_measures_stand_in_one_table(make_system: Any) -> None:
    """Means over corruptions times 100, Brier and NLL as they are, with what they mean below."""
    base = make_system("pixels", skill=1.0)
    flat = [
        dataclasses.replace(p, scores=base[0].scores) if p.corruption == "zoom_blur" else p
        for p in base
    ]
    _, summary = rows_of(make_system() + flat)
    (table,) = measure_tables(summary)
    shown = cells_of(table)["toy", "texture"]
    own = {row["metric"]: row for row in summary if row["encoder"] == "texture"}
    assert shown["ECE"] == f"{100 * own['average_ece']['value']:.1f}"
    assert shown["NLL"] == f"{own['average_nll']['value']:.3f}"
    assert shown["Harm."] == f"{100 * own['harmonic_accuracy']['value']:.1f}"
    assert (shown["rel. mCE"], shown["rBE"]) == ("n/a", "n/a")
    assert any("not comparable with published values" in note for note in table.notes)
    assert any(note.startswith("n/a") for note in table.notes)
    assert measure_tables([]) == []
