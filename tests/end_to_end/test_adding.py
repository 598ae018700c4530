"""A unit is added by the files of its folder in tests/adding, and by its lines in one table.

What is declared comes from folders of manifests. What is code is put into a copy of the packages,
which the command line is then started from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.artifact import Artifact
from pipeline.store import Store
from tests.end_to_end.blobs import draw
from tests.end_to_end.conftest import REPOSITORY, CommandLine

ADDING = REPOSITORY / "tests" / "adding"
TABLES = {
    "corruption": (
        "stages/corrupt/kernels/table.py",
        {
            "    pixelate,\n": "    posterise,\n",
            "    pixelate.KERNEL,\n": "    posterise.KERNEL,\n",
        },
    ),
    "metric": (
        "stages/evaluate/metrics/__init__.py",
        {
            "    recall,\n)": "    worst_recall,\n)",
            '    "nll": nll.values,\n': '        "worst_recall": worst_recall.values,\n',
        },
    ),
    "protocol": (
        "stages/evaluate/protocols/__init__.py",
        {
            "from stages.evaluate.protocols.linear_probe import LinearProbe\n": (
                "from stages.evaluate.protocols.nearest_mean import NearestMean\n"
            ),
            "        Prototype.name: Prototype(),\n": "        NearestMean.name: NearestMean(),\n",
        },
    ),
}
"""The table of each kind of unit that is code, and after which of its lines others are added."""


@pytest.fixture
def extended(
    tmp_path: Path, environment: dict[str, str]
) -> Callable[[str, CommandLine], CommandLine]:
    """Return a function that gives the command line of a copy of the packages with a unit more."""

    def extend(unit: str, pipeline: CommandLine) -> CommandLine:
        tree = tmp_path / "tree"
        for package in ("pipeline", "stages", "manifests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / package, tree / package, ignore=ignored)
        shutil.copytree(ADDING / unit, tree, dirs_exist_ok=True)
        name, lines = TABLES[unit]
        table = (tree / name).read_text()
        for line, added in lines.items():
            assert table.count(line) == 1, line
            table = table.replace(line, line.removesuffix(")") + added)
        (tree / name).write_text(table)
        own = environment | {"PYTHONPATH": str(tree)}
        return replace(pipeline, environment=own, preloaded=False)

    return extend


@pytest.fixture(scope="session")
def declared_study(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], CommandLine],
) -> Path:
    """Return a folder with `my` manifests of a dataset, a suite and an encoder, and a `store`.

    It holds all their sets, embedded, and what `eval` said of them.
    """

    def build(folder: Path) -> None:
        for unit in ("dataset", "suite", "encoder"):
            shutil.copytree(ADDING / unit, folder / "my", dirs_exist_ok=True)
        run = command_line(folder)
        at = ("--store", "store", "--manifests", "my")
        run("build", "corruptions", *at, "--datasets", "smears", "--suite", "dusk")
        run("embed", "--model", "grid", *at, "--suite", "dusk")
        (folder / "eval.json").write_text(run("eval", *at, "--baseline", "grid", "--json").stdout)

    return once("declared", build)


def test_a_dataset_a_suite_and_an_encoder_are_a_manifest_each(declared_study: Path) -> None:
    """Each of them is built, embedded and evaluated, without another file."""
    rows = json.loads((declared_study / "eval.json").read_text())["results"]
    assert {(row["dataset"], row["encoder"], row["suite"]) for row in rows} == {
        ("smears", "grid", "dusk")
    }
    cells = {(row["corruption"], row["severity"]) for row in rows}
    assert cells == {("clean", 0), *(("dim", severity) for severity in range(1, 6))}
    assert {row["n"] for row in rows} == {12}


def test_a_rule_set_is_a_manifest(pipeline: CommandLine, tmp_path: Path) -> None:
    """Its words and templates are those of the prompts."""
    root = tmp_path / "photographs"
    draw(root, "one", (5, 5, 20))
    draw(root, "two", (5, 5, 8), (60, 95, 20))
    folders = ("--images", root / "images", "--masks", root / "masks", "--class-name", "polyp")
    rules = ("--rules", "terse", "--manifests", ADDING / "rule_set")
    out = ("--export", f"medvlsm={tmp_path / 'prompts.json'}", "--store", tmp_path / "store")
    pipeline("build", "prompts", *folders, *rules, *out)
    rows = json.loads((tmp_path / "prompts.json").read_text())
    assert {row["img_name"]: row["prompts"] for row in rows} == {
        "one.png": {"p0": "polyp", "p1": "polyp: one, slight"},
        "two.png": {"p0": "polyp", "p1": "polyp: multiple, slight"},
    }


def test_a_corruption_is_a_kernel_and_its_table_lines(
    pipeline: CommandLine,
    extended: Callable[[str, CommandLine], CommandLine],
    store: Path,
) -> None:
    """A suite may name it, its parameters are columns of the set, and its pixels are its own."""
    at = ("--store", store, "--manifests", ADDING / "dataset")
    which = ("--datasets", "smears", "--suite", "few-bits", "--only", "few-bits/smears/test/*/3")
    extended("corruption", pipeline)("build", "corruptions", *at, *which)
    found = {one.label: Artifact(one) for one in Store.open(store).manifests()}
    clean = found["datasets/smears/test"].array("images")[:]
    corrupted = found["corruptions/few-bits/smears/test/posterise/3"]
    assert np.array_equal(corrupted.array("images")[:], clean & 0b11110000)
    assert set(corrupted.index(["drawn_bits"])["drawn_bits"].to_pylist()) == {4}


def test_a_metric_is_a_file_and_its_table_lines(
    pipeline: CommandLine,
    extended: Callable[[str, CommandLine], CommandLine],
    declared_study: Path,
    store: Path,
) -> None:
    """It has a row with an interval for every set, and one for its mean under corruption."""
    # What was sealed before is kept until the stage's version is raised.
    scored = shutil.ignore_patterns("results", "summary")
    shutil.copytree(declared_study / "store", store, ignore=scored)
    at = ("--store", store, "--manifests", declared_study / "my")
    found = extended("metric", pipeline)("eval", *at, "--baseline", "grid", "--json").json
    rows = [row for row in found["results"] if row["metric"] == "worst_recall"]
    systems = {(row["protocol"], row["corruption"], row["severity"]) for row in found["results"]}
    assert len(rows) == len(systems)
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in rows)
    assert "average_worst_recall" in {row["metric"] for row in found["summary"]}


def test_a_protocol_is_a_file_and_its_table_lines(
    pipeline: CommandLine,
    extended: Callable[[str, CommandLine], CommandLine],
    declared_study: Path,
    store: Path,
) -> None:
    """It is fitted, stored and scored by its name, also on few samples; and no other is needed."""
    manifests = store.parent / "my"
    shutil.copytree(declared_study, store.parent, dirs_exist_ok=True)
    (manifests / "runs").mkdir()
    (manifests / "runs" / "few.toml").write_text(
        'schema = 1\nid = "few"\ntitle = "Few"\nsuites = ["dusk"]\ndatasets = ["smears"]\n'
        'encoders = ["grid"]\nbaseline = "grid"\nprotocols = ["nearest-mean"]\n'
        '[few_shot]\nprotocol = "nearest-mean"\nk = [2]\nfractions = []\nseeds = [0]\n'
    )
    at = ("--store", store, "--manifests", manifests, "--run", "few", "--json")
    rows = extended("protocol", pipeline)("eval", *at).json["results"]
    assert {(row["protocol"], row["k"]) for row in rows} == {
        ("nearest-mean", None),
        ("nearest-mean", 2),
    }
    stored = [one for one in Store.open(store).manifests() if one.stage == "models"]
    assert {"nearest-mean/grid/smears", "few-shot/nearest-mean/grid/smears"} <= {
        one.name for one in stored
    }
