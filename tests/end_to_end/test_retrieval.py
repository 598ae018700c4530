"""`retrieval`: images and prompts of a segmentation set, through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.blobs import MANIFEST, draw
from tests.end_to_end.tiny_clip import write_tiny_clip

AT = ("--store", "store", "--manifests", "my")
MODEL = ("--model", "tiny-clip", "--weights", "weights")


@pytest.fixture(scope="session")
def matched(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], Any],
) -> Path:
    """A folder with six images, one corruption, their prompts, and all embeddings of a model."""

    def build(folder: Path) -> None:
        for number in range(6):
            draw(folder / "photographs", f"n{number}", (5 + 9 * number, 5, 8 + number), size=96)
        write_tiny_clip(folder)
        (folder / "my" / "datasets").mkdir()
        (folder / "my" / "datasets" / "blobs.toml").write_text(MANIFEST)
        run = command_line(folder)
        run("build", "prompts", "--datasets", "blobs", *AT)
        only = ("--only", "medimeta-c/blobs/test/contrast/*")
        run("build", "corruptions", "--suite", "medimeta-c", *only, *AT)
        run("embed", *MODEL, "--prompts", "*", "--datasets", "blobs", *AT)

    return once("matched", build)


def test_every_set_is_measured(pipeline: Any, matched: Path, command_line: Any) -> None:
    """Clean and each severity have every design and probe, beside what chance gives."""
    run = command_line(matched)
    answer = run("retrieval", *AT, "--json", "--out", pipeline.folder / "rows.parquet")
    rows = answer.json["rows"]
    assert {(row["corruption"], row["severity"]) for row in rows} == {
        ("clean", 0), *(("contrast", severity) for severity in range(1, 6)),
    }  # fmt: skip
    clean = {
        (row["design"], row["metric"], row["attribute"]): row
        for row in rows
        if row["severity"] == 0
    }
    first = clean["p6", "recall@1", None]
    assert 0 < first["chance"] < 1
    assert first["ci_low"] <= first["value"] <= first["ci_high"]
    assert (first["n"], first["resamples"]) == (6, 1000)
    assert 0 < clean["p6", "bleu", None]["chance"] < 1
    swapped = {row["attribute"] for row in rows if row["metric"] == "preference"}
    assert swapped >= {"size", "number", "location"}
    assert ("p6", "attribute_accuracy", "size") in clean
    table = pq.read_table(pipeline.folder / "rows.parquet")
    assert table.num_rows == len(rows)
    assert all(set(field.metadata) == {b"unit", b"meaning"} for field in table.schema)


def test_a_second_run_does_nothing_and_loads_no_model(matched: Path, command_line: Any) -> None:
    """What is sealed is only shown; no torch, no network."""
    run = command_line(matched)
    run("retrieval", *AT)
    assert "nothing to do" in run("retrieval", *AT).stderr
    modules = run.modules("retrieval", *AT, mode="isolated")
    assert not modules & {"torch", "open_clip", "transformers"}
    shown = run("retrieval", *AT).stdout
    assert "preference" in shown
    assert "medimeta-c" in shown


def test_what_is_missing_is_told(pipeline: Any, tmp_path: Path) -> None:
    """Without prompts, or without embeddings, the message says what to run."""
    draw(tmp_path / "photographs", "one", (5, 5, 8), size=96)
    write_tiny_clip(tmp_path)
    (tmp_path / "my" / "datasets").mkdir()
    (tmp_path / "my" / "datasets" / "blobs.toml").write_text(MANIFEST)
    pipeline("retrieval", *AT, rc=4).refused(4, "pipeline build prompts")
    pipeline("build", "prompts", "--datasets", "blobs", *AT)
    asked = ("retrieval", *AT, "--encoders", "tiny-clip")
    pipeline(*asked, rc=4).refused(4, "pipeline embed --model tiny-clip --prompts fixed/blobs/test")
    pipeline("retrieval", *AT, "--encoders", "tiny-clop", rc=2).refused(2, "tiny-clip")
