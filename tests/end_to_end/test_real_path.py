"""The real PneumoniaMNIST file, version 1, through the documented commands to its numbers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.end_to_end.real_path import V1_COUNT, V3_COUNT, declare, documented

CORRUPTIONS = (
    "gaussian_noise",
    "impulse_noise",
    "motion_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
)


@pytest.fixture(scope="module")
def evaluated(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], Any],
    real_data: Path,
) -> Path:
    """Return a folder where the documented commands were run, with what `eval` printed."""

    def build(folder: Path) -> None:
        pipeline = command_line(folder)
        manifest, commands = documented()
        declare(folder, manifest)
        for command in commands:
            program, *arguments = shlex.split(command.replace("~/downloads", str(real_data)))
            assert program == "pipeline"
            answer = pipeline(*arguments)
        assert arguments[0] == "eval"
        (folder / "eval.txt").write_text(answer.stdout)
        (folder / "eval.json").write_text(pipeline(*arguments, "--json").stdout)

    return once("real", build)


@pytest.fixture(scope="module")
def answer(evaluated: Path) -> dict[str, Any]:
    """Return the JSON of `pipeline eval`."""
    return json.loads((evaluated / "eval.json").read_text())


def rows_of(answer: dict[str, Any], encoder: str, metric: str) -> list[dict[str, Any]]:
    """Return the linear probe's result rows of an encoder and a metric."""
    wanted = {"encoder": encoder, "metric": metric, "protocol": "linear-probe"}
    return [row for row in answer["results"] if wanted.items() <= row.items()]


@pytest.mark.parametrize("encoder", ["texture", "pixels"])
def test_the_clean_probe_is_better_than_chance(answer: dict[str, Any], encoder: str) -> None:
    """The interval of the clean balanced accuracy lies above 0.5."""
    (clean,) = [row for row in rows_of(answer, encoder, "balanced_accuracy") if not row["severity"]]
    assert clean["corruption"] == "clean"
    assert clean["n"] == 624
    assert 0.5 < clean["ci_low"] <= clean["value"] <= clean["ci_high"] <= 1


@pytest.mark.parametrize("encoder", ["texture", "pixels"])
def test_accuracy_falls_with_severity(answer: dict[str, Any], encoder: str) -> None:
    """The mean over the seven is lower at severity 5 than at 1, and both are below clean."""
    rows = rows_of(answer, encoder, "accuracy")
    at = {
        severity: {row["corruption"]: row["value"] for row in rows if row["severity"] == severity}
        for severity in range(6)
    }
    assert at[1].keys() == at[5].keys() == set(CORRUPTIONS)
    assert mean(at[5].values()) < mean(at[1].values()) < at[0]["clean"]


@pytest.mark.parametrize("encoder", ["texture", "pixels"])
def test_corruptions_that_do_not_fall_are_told(
    evaluated: Path, answer: dict[str, Any], encoder: str
) -> None:
    """Exactly the corruptions whose accuracy does not fall have a note, in JSON and in print."""
    rows = {
        (row["corruption"], row["severity"]): row["value"]
        for row in rows_of(answer, encoder, "accuracy")
    }
    expected = {name for name in CORRUPTIONS if rows[name, 5] >= rows[name, 1]}
    notes = [
        note
        for note in answer["notes"]
        if (note["kind"], note["metric"]) == ("does-not-fall", "accuracy")
        and note["corruption"] != "mean"
        and f", {encoder}, linear-probe" in note["system"]
    ]
    assert {note["corruption"] for note in notes} == expected
    start = (
        f"note: medimeta-c, {encoder}, linear-probe: accuracy does not fall with severity under "
    )
    printed = (evaluated / "eval.txt").read_text().splitlines()
    told = [line.removeprefix(start) for line in printed if line.startswith(start)]
    assert {part.split()[0] for line in told for part in line.split("; ")} == expected


def test_every_row_of_the_tables_is_there(answer: dict[str, Any]) -> None:
    """36 sets × 12 metrics × 2 encoders × 2 protocols; CE, mCE and average accuracy of each."""
    assert len(answer["results"]) == 36 * 12 * 2 * 2
    for encoder in ("texture", "pixels"):
        summary = {
            row["metric"]: row
            for row in answer["summary"]
            if row["encoder"] == encoder and row["protocol"] == "linear-probe"
        }
        ratios = [summary[f"ce/{name}"]["value"] for name in CORRUPTIONS]
        assert summary["mce"]["value"] == pytest.approx(mean(ratios), abs=1e-12)
        assert summary["mce"]["baseline"] == "pixels"
        assert "clean_error" in summary
        own = [row["value"] for row in rows_of(answer, encoder, "accuracy") if row["severity"]]
        assert summary["average_accuracy"]["value"] == pytest.approx(mean(own), abs=1e-12)


def test_the_baseline_has_an_mce_of_one(answer: dict[str, Any]) -> None:
    """The baseline against itself gives 1 exactly, with an interval of no width."""
    rows = [r for r in answer["summary"] if r["encoder"] == "pixels" and r["metric"] == "mce"]
    assert rows
    assert {(row["value"], row["ci_low"], row["ci_high"]) for row in rows} == {(1.0, 1.0, 1.0)}


def test_the_tables_have_the_papers_layout(evaluated: Path) -> None:
    """Terminal tables: clean, the seven in the paper's order, mean or mCE; nothing cut short."""
    printed = (evaluated / "eval.txt").read_text()
    heads = "Encoder Clean Gauss. Impulse Motion Zoom Bright. Contrast Pixelate"
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert f"{heads} Mean 95% interval n" in lines
    assert f"{heads} mCE 95% interval n" in lines
    assert "…" not in printed


def test_the_shipped_manifest_refuses_the_file_by_digest(
    pipeline: Any, store: Path, real_data: Path, whole: Any
) -> None:
    """The file of version 1 is not the one that `pneumoniamnist-28` declares: exit 5."""
    one = ("--datasets", "pneumoniamnist-28", "--store", store)
    answer = pipeline("build", "datasets", *one, "--from", real_data, rc=None)
    expected, found = "28209eda62fecd6e6a2d98b1501bb15f", "f5b994ec7c2fe8bc81ae15cbab7c3df8"
    answer.refused(5, "pneumoniamnist.npz", expected, found)
    whole(store)
    assert pipeline("list", "--store", store, "--json").json["artifacts"] == []


def test_other_counts_refuse_the_file(
    pipeline: Any, tmp_path: Path, store: Path, real_data: Path, whole: Any
) -> None:
    """With the counts of version 3 and the right digest, the train split is refused: exit 1."""
    declare(tmp_path, documented()[0].replace(V1_COUNT, V3_COUNT))
    at = ("--manifests", "my", "--store", store)
    one = ("build", "datasets", "--datasets", "pneumoniamnist-v1", "--splits", "train", *at)
    told = "the manifest says 4708 samples, the source has 3882"
    pipeline(*one, "--from", real_data, rc=None).refused(1, told)
    pipeline(*one, rc=None).refused(1, told)
    whole(store)
    rows = pipeline("list", "--store", store, "--json").json["artifacts"]
    assert {row["stage"] for row in rows} == {"sources"}
