"""What a finished evaluation computes again when something is added to the study."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

STAGES = ("models", "predictions", "results", "summary", "comparisons")
PROTOCOLS = 2
CORRUPTIONS = 7
FEW_SHOT = """
schema = 1
id = "few"
title = "Few"
datasets = ["tiny"]
encoders = ["texture", "pixels"]
baseline = "pixels"
protocols = ["prototype"]

[few_shot]
k = [1, 3, 500]
fractions = [0.5]
seeds = [0, 1]

[bootstrap]
resamples = 20
"""


def planned(answer: Any) -> Counter[str]:
    """Return how many units a dry run would carry out, by stage."""
    return Counter(unit["stage"] for unit in answer.json["units"])


def test_another_encoder_adds_its_own_rows_only(pipeline: Any, tiny_built: Any) -> None:
    """Under two protocols: its predictions, metrics and aggregates, and its pair with the other."""
    store = tiny_built.folder / "store"
    for stage in STAGES:
        shutil.rmtree(store / stage)
    at = ("--store", store, "--manifests", tiny_built.manifests, "--baseline", "texture")
    pipeline("eval", *at, "--encoders", "texture")
    plan = pipeline("eval", *at, "--dry-run", "--json")
    sets = PROTOCOLS * (CORRUPTIONS + 1)
    assert planned(plan) == {
        "models": PROTOCOLS,
        "predictions": sets,
        "results": sets,
        "summary": PROTOCOLS,
        "comparisons": PROTOCOLS,
    }
    assert all("pixels" in unit["name"] for unit in plan.json["units"])
    pipeline("eval", *at)
    assert not planned(pipeline("eval", *at, "--dry-run", "--json"))


def test_another_corruption_adds_its_own_rows_only(pipeline: Any, tiny_built: Any) -> None:
    """Nothing is fitted again, and no other set scored: only aggregates are of all sets."""
    store = tiny_built.folder / "store"
    for stage in STAGES:
        shutil.rmtree(store / stage)
    at = ("--store", store, "--manifests", tiny_built.manifests, "--baseline", "texture")
    every = sorted(path.name for path in (store / "corruptions/medimeta-c/tiny/test").iterdir())
    assert len(every) == CORRUPTIONS
    only = ",".join(f"medimeta-c/tiny/test/{name}" for name in every if name != "contrast")
    pipeline("eval", *at, "--only", only)
    before = {path: path.stat().st_mtime_ns for path in (store / "results").rglob("manifest.json")}
    plan = pipeline("eval", *at, "--dry-run", "--json")
    systems = 2 * PROTOCOLS
    assert planned(plan) == {
        "predictions": systems,
        "results": systems,
        "summary": systems,
        "comparisons": PROTOCOLS,
    }
    rows = [u for u in plan.json["units"] if u["stage"] in {"predictions", "results"}]
    assert all(unit["name"].endswith("/contrast") for unit in rows)
    pipeline("eval", *at)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_few_shot_of_a_run(pipeline: Any, tiny_built: Any) -> None:
    """Each amount and seed has its rows, an amount too large is skipped, all is sealed then."""
    runs = tiny_built.manifests / "runs"
    runs.mkdir()
    (runs / "few.toml").write_text(FEW_SHOT)
    at = ("--store", tiny_built.folder / "store", "--manifests", tiny_built.manifests)
    answer = pipeline("eval", *at, "--run", "few", "--json").json
    rows = [row for row in answer["results"] if row["metric"] == "balanced_accuracy"]
    amounts = Counter((row["protocol"], row["k"], row["fraction"], row["seed"]) for row in rows)
    few = [(k, share, seed) for k, share in ((1, None), (3, None), (None, 0.5)) for seed in (0, 1)]
    expected = [("prototype", None, None, 0), *(("linear-probe", *one) for one in few)]
    assert amounts == dict.fromkeys(expected, 2 * 36)
    (skipped,) = {one["reason"] for one in answer["skipped"]}
    assert skipped == "the train split has 20 samples of class 'dark'"
    assert {one["what"].partition(" of ")[0] for one in answer["skipped"]} == {"few-shot"}
    # Seeds differ, the baseline is compared under the same draw, and all comparisons are of whole
    # train splits.
    ratios = [row for row in answer["summary"] if (row["metric"], row["k"]) == ("mce", 3)]
    assert [row["value"] for row in ratios if row["encoder"] == "pixels"] == [1.0, 1.0]
    assert len({row["value"] for row in ratios if row["encoder"] == "texture"}) == 2
    assert {row["k"] for row in answer["comparisons"]} == {None}
    dry = pipeline("eval", *at, "--run", "few", "--dry-run", "--json")
    assert not planned(dry)
    shown = pipeline("eval", *at, "--run", "few").stdout
    assert "Frozen-feature few-shot" in shown
    assert "3/class" in shown
    assert "Mean over 2 seeds" in shown


def test_few_shot_without_a_table(pipeline: Any, tiny_built: Any) -> None:
    """Named on the command line it draws the defaults: three k, four shares, five seeds."""
    at = ("--store", tiny_built.folder / "store", "--manifests", tiny_built.manifests)
    named = ("--protocols", "few-shot", "--encoders", "texture", "--baseline", "texture")
    plan = pipeline("eval", *at, *named, "--dry-run", "--json")
    units = plan.json["units"]
    assert {unit["name"].partition("/texture")[0] for unit in units} == {"few-shot/linear-probe"}
    (fits,) = [unit for unit in units if unit["stage"] == "models"]
    assert fits["rows"] == (3 + 4) * 5


def test_tables_written_by_eval_are_those_it_tells(
    pipeline: Any, tiny_built: Any, tmp_path: Path
) -> None:
    """`--out` has the rows of `--json`, comparisons with their corrected p-values among them."""
    at = ("--store", tiny_built.folder / "store", "--manifests", tiny_built.manifests)
    out = tmp_path / "out"
    told = pipeline("eval", *at, "--baseline", "pixels", "--out", out, "--json").json
    for name in ("results", "summary", "comparisons"):
        assert pq.read_table(out / f"{name}.parquet").to_pylist() == told[name]
    assert all(row["p"] <= row["p_bh"] <= row["p_holm"] for row in told["comparisons"])


def test_the_tables_tell_differences_and_other_measures(pipeline: Any, read_only_tiny: Any) -> None:
    """The terminal has one table of each per protocol, before the errors."""
    at = ("--store", read_only_tiny.folder / "store", "--manifests", read_only_tiny.manifests)
    shown = pipeline("eval", *at, "--baseline", "pixels").stdout
    for title in ("Other measures under corruption: ", "Differences in mean balanced accuracy"):
        assert shown.count(title) == 2
        assert shown.rindex(title) < shown.index("Error relative to pixels")
