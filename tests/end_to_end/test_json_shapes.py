"""What `--json` prints: one document with its schema, and the fields programs rely on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.json_fields import (
    ARTIFACT,
    COMPARISON,
    HIGHEST,
    METRICS,
    RESULT,
    SKIPPED,
    SUMMARY,
    UNIT,
    in_state,
    require_fields,
)
from tests.end_to_end.options import at


def test_status(pipeline: Any, read_only_tiny: Any) -> None:
    """`status` has one row per artifact; in a complete store each is sealed."""
    document = pipeline("status", *at(read_only_tiny), "--json").json
    assert document["schema"] == "medshards/status/1"
    require_fields(document["artifacts"], ARTIFACT)
    assert {row["state"] for row in document["artifacts"]} == {"sealed"}
    stages = [row["stage"] for row in document["artifacts"]]
    assert stages.count("corruptions") == 35
    assert stages.count("embeddings") == 2 * (1 + 1 + 1 + 35)
    assert {len(row["recipe_key"]) for row in document["artifacts"]} == {64}


def test_status_of_a_partial_build(pipeline: Any, tiny: Any) -> None:
    """The sets that a collection still lacks are missing, without digest, with expected sizes."""
    only = "medimeta-c/tiny/test/contrast/3"
    pipeline("build", "corruptions", "--only", only, "--from", tiny.data, *at(tiny))
    rows = pipeline("status", *at(tiny), "--json").json["artifacts"]
    require_fields(rows, ARTIFACT)
    missing = [row for row in rows if row["state"] == "missing"]
    assert len(missing) == 34
    assert {row["stage"] for row in missing} == {"corruptions"}
    assert {(row["content_digest"], row["rows"]) for row in missing} == {(None, 24)}
    sealed = {row["name"] for row in rows if row["state"] == "sealed"}
    assert sealed == {"placed/tiny.npz", "tiny/test", only}


def test_status_after_a_manifest_has_changed(pipeline: Any, tiny_built: Any) -> None:
    """All that was made with the old parameters is stale, and a plan says what has changed."""
    tiny_built.declare(classes='["dim", "bright"]')
    stale = in_state(pipeline, tiny_built, "stale")
    assert len(stale) == 3 + 35 + 2 * 38 + (1 + 8 + 8 + 1) * 4 + 2
    assert in_state(pipeline, tiny_built, "sealed") == {"sources/placed/tiny.npz"}
    # What takes the place of the stale ones is not built yet.
    assert in_state(pipeline, tiny_built, "missing") >= {
        "datasets/tiny/test",
        "corruptions/medimeta-c/tiny/test/contrast/3",
        "embeddings/pixels/tiny/test",
    }
    units = pipeline("plan", "datasets", "--datasets", "tiny", *at(tiny_built), "--json")
    assert {unit["reason"] for unit in units.json["units"]} == {"parameter classes.0: dark -> dim"}
    told = pipeline("explain", "datasets/tiny/test", *at(tiny_built), "--json").json["artifacts"]
    assert {one["state"] for one in told} == {"stale", "missing"}
    assert {reason for one in told for reason in one["reasons"]} == {
        "parameter classes.0: dark -> dim"
    }


def test_a_changed_suite_makes_its_sets_stale(pipeline: Any, tiny_built: Any) -> None:
    """Sets of a suite with other severities are stale; clean splits are not."""
    suites = tiny_built.manifests / "corruptions"
    suites.mkdir()
    text = """schema = 1\nid = "mine"\ntitle = "Mine"\ngray = "stay"\nsource = "these tests"
[[corruptions]]\nname = "contrast"\nkernel = "contrast"
severities = [{factor = 0.4}, {factor = 0.3}, {factor = 0.2}, {factor = 0.1}, {factor = %s}]\n"""
    (suites / "mine.toml").write_text(text % "0.05")
    pipeline("build", "corruptions", "--suite", "mine", "--datasets", "tiny", *at(tiny_built))
    (suites / "mine.toml").write_text(text % "0.04")
    one = "corruptions/mine/tiny/test/contrast/5"
    assert in_state(pipeline, tiny_built, "stale") == {one}
    assert in_state(pipeline, tiny_built, "missing") == {one}


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "corruptions"),
        ("build", "corruptions", "--dry-run"),
        ("build", "corruptions", "-n"),
    ],
    ids=" ".join,
)
def test_plan(pipeline: Any, tiny: Any, command: tuple[str, ...]) -> None:
    """`plan` and every dry run have units with reasons, rows and bytes, inputs first."""
    document = pipeline(*command, "--datasets", "tiny", *at(tiny), "--json").json
    assert document["schema"] == "medshards/plan/1"
    require_fields(document["units"], UNIT)
    stages = [unit["stage"] for unit in document["units"]]
    assert stages == ["sources", "datasets"] + ["corruptions"] * 35
    assert {unit["reason"] for unit in document["units"]} == {"never built"}
    assert document["units"][-1]["bytes"] == 24 * 28 * 28 * 3


def test_dry_runs_of_embed_and_eval(pipeline: Any, tiny_built: Any) -> None:
    """The plans of `embed` and `eval` have the same shape."""
    store = tiny_built.folder / "store"
    shutil.rmtree(store / "embeddings/texture/medimeta-c/tiny/test/contrast")
    plan = pipeline("embed", "--model", "texture", *at(tiny_built), "-n", "--json").json
    assert plan["schema"] == "medshards/plan/1"
    require_fields(plan["units"], UNIT)
    assert len(plan["units"]) == 5
    pipeline("embed", "--model", "texture", *at(tiny_built))
    shutil.rmtree(store / "summary")
    plan = pipeline("eval", "--baseline", "pixels", *at(tiny_built), "-n", "--json").json
    assert plan["schema"] == "medshards/plan/1"
    require_fields(plan["units"], UNIT)
    assert {unit["stage"] for unit in plan["units"]} == {"summary"}


def test_build_and_embed(pipeline: Any, tiny: Any) -> None:
    """`build` and `embed` tell how many artifacts and units there were to make."""
    only = ("--only", "medimeta-c/tiny/test/contrast/3", *at(tiny), "--json")
    document = pipeline("build", "corruptions", *only, "--from", tiny.data).json
    assert document == {
        "schema": "medshards/build/1",
        "sealed_before": 0,
        "artifacts": 3,
        "units": 3,
    }
    assert pipeline("build", "corruptions", *only).json["units"] == 0
    document = pipeline("embed", "--model", "pixels", "--splits", "test", *only).json
    assert document["schema"] == "medshards/build/1"
    assert document["artifacts"] == 2


def test_eval(read_only_tiny: Any) -> None:
    """`eval` has a row per set, system and metric, ratios against the baseline, and skips."""
    document = json.loads((read_only_tiny.folder / "eval.json").read_text())
    assert document["schema"] == "medshards/eval/1"
    require_fields(document["results"], RESULT)
    require_fields(document["summary"], SUMMARY)
    require_fields(document["skipped"], SKIPPED)
    assert document["baseline"] == "pixels"
    metrics = {row["metric"] for row in document["results"]}
    assert metrics == {*METRICS, "recall/0", "recall/1"}
    clean = [row for row in document["results"] if row["severity"] == 0]
    assert {row["corruption"] for row in clean} == {"clean"}
    assert all(0 <= row["value"] <= HIGHEST.get(row["metric"], 1) for row in document["results"])
    ratios = [row for row in document["summary"] if row["value"] is None]
    assert all(row["undefined"] for row in ratios)
    assert all(re.match(r"(balanced_)?relative_|rbe", row["metric"]) for row in ratios)
    require_fields(document["comparisons"], COMPARISON)
    assert {(row["encoder_a"], row["encoder_b"]) for row in document["comparisons"]} == {
        ("pixels", "texture")
    }
    assert len(document["comparisons"]) == 2 * (36 + 1 + 4)
    assert {note["kind"] for note in document["notes"]} <= {
        "no-baseline",
        "incomplete-baseline",
        "undefined",
        "constant",
        "does-not-fall",
        "not-comparable",
    }


def test_eval_without_a_baseline(pipeline: Any, tiny_built: Any) -> None:
    """The default baseline is CLIP ViT-B/16; without it there are averages, and CE is skipped."""
    document = pipeline("eval", *at(tiny_built), "--json").json
    assert document["baseline"] == "clip-vit-b16"
    assert len(document["results"]) == 36 * (len(METRICS) + 2) * 2 * 2
    averages = {f"average_{name}" for name in METRICS if name != "error"}
    harmonic = {"harmonic_accuracy", "harmonic_balanced_accuracy"}
    assert {row["metric"] for row in document["summary"]} == averages | harmonic
    assert not [row for row in document["comparisons"] if "mce" in row["metric"]]
    require_fields(document["skipped"], SKIPPED)
    commands = {one["command"] for one in document["skipped"] if one["what"].startswith("CE")}
    assert commands
    assert all("pipeline embed --model clip-vit-b16 " in command for command in commands)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("artifacts", {"stage": str, "name": str, "rows": int, "bytes": int}),
        ("sets", {"stage": str, "name": str, "rows": int, "content_digest": str}),
        (
            "datasets",
            {"id": str, "size": (int, list, str), "classes": int, "licence": str, "title": str},
        ),
        ("suites", {"id": str, "corruptions": int, "title": str}),
        ("encoders", {"id": str, "kind": str, "width": int, "title": str}),
        ("runs", {"id": str, "datasets": str, "title": str}),
    ],
)
def test_list(pipeline: Any, read_only_tiny: Any, kind: str, fields: dict[str, Any]) -> None:
    """`list` has one row per sealed artifact or declared thing, under the name of its kind."""
    document = pipeline("list", kind, *at(read_only_tiny), "--json").json
    assert document["schema"] == "medshards/list/1"
    require_fields(document[kind], fields)


def test_sets_are_named_by_their_parts(pipeline: Any, read_only_tiny: Any) -> None:
    """`<suite>/<dataset>/<split>/<corruption>/<severity>`: 7 corruptions by 5 severities."""
    rows = pipeline("list", "sets", *at(read_only_tiny), "--json").json["sets"]
    parts = [row["name"].split("/") for row in rows]
    assert {tuple(part[:3]) for part in parts} == {("medimeta-c", "tiny", "test")}
    assert len({part[3] for part in parts}) == 7
    assert {part[4] for part in parts} == {"1", "2", "3", "4", "5"}


def test_explain(pipeline: Any, read_only_tiny: Any) -> None:
    """`explain` tells parameters and inputs of one artifact, named with or without its stage."""
    name = "medimeta-c/tiny/test/contrast/3"
    document = pipeline("explain", f"corruptions/{name}", *at(read_only_tiny), "--json").json
    assert document["schema"] == "medshards/explain/1"
    (one,) = document["artifacts"]
    assert one["state"] == "sealed"
    assert one["parameters"]["values"] == {"factor": 0.2, "rounding": "down"}
    assert one["inputs"]["images"].startswith("datasets/tiny/test ")


def test_sets_of_two_seeds_stand_side_by_side(pipeline: Any, tmp_path: Path) -> None:
    """A second seed makes other sets of the same names, and neither is stale."""
    only = ("--only", "medimeta-c/phantom-oct/test/gaussian_noise", "--store", tmp_path / "store")
    pipeline("build", "corruptions", *only)
    pipeline("build", "corruptions", *only, "--seed", "1")
    selector = "corruptions/medimeta-c/phantom-oct/test/gaussian_noise"
    rows = pipeline("status", selector, "--store", tmp_path / "store", "--json").json["artifacts"]
    assert [row["state"] for row in rows] == ["sealed"] * 10
    assert len({row["content_digest"] for row in rows}) == 10
