"""`pipeline demo`: the whole path on synthetic images, and the store it leaves."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

PHANTOMS = ("blood", "mammography", "chest", "fundus", "oct")
SECOND_RUN_SECONDS = 2.0


@pytest.fixture(scope="module")
def demo(
    once: Callable[[str, Callable[[Path], None]], Path], command_line: Callable[[Path], Any]
) -> Path:
    """Return a folder with the demo's `store`, and what it printed."""

    def run(folder: Path) -> None:
        answer = command_line(folder)("demo", "--store", folder / "store")
        (folder / "stdout.txt").write_text(answer.stdout)

    return once("demo", run)


@pytest.fixture
def printed(demo: Path) -> str:
    """Return what the first run printed."""
    return (demo / "stdout.txt").read_text()


def test_all_sets_are_sealed(pipeline: Any, demo: Path) -> None:
    """Five phantoms by seven corruptions by five severities; nothing is missing."""
    rows = pipeline("status", "--store", demo / "store", "--run", "demo", "--json").json
    sealed = {row["name"] for row in rows["artifacts"] if row["stage"] == "corruptions"}
    assert len(sealed) == 175
    assert {name.split("/")[1] for name in sealed} == {f"phantom-{name}" for name in PHANTOMS}
    assert {row["state"] for row in rows["artifacts"]} == {"sealed"}


def test_it_prints_the_mce_table(printed: str) -> None:
    """The last tables are errors relative to the baseline, with an mCE of every phantom."""
    title = "Error relative to pixels, ×100: "
    last = printed[printed.rindex("Accuracy, ×100: ") :]
    tables = last.split(title)[1:]
    assert len(tables) == 2
    for table in tables:
        rows = [line.split() for line in table.splitlines()]
        assert rows[1][-5:] == ["Pixelate", "mCE", "95%", "interval", "n"]
        systems = [row for row in rows if {"texture", "pixels"} & {*row[:2]}]
        assert [row[0] for row in systems[::2]] == [f"phantom-{name}" for name in PHANTOMS]
        assert len(systems) == 2 * len(PHANTOMS)
        assert [row[1] for row in systems if row[0] == "pixels"] == ["100.0"] * len(PHANTOMS)


def test_it_says_that_the_images_are_synthetic(printed: str) -> None:
    """Whoever sees the numbers sees that they are not of people."""
    assert "the phantom datasets are synthetic images, not taken from people" in printed
    assert "175 sets of synthetic images" in printed


def test_it_says_where_things_are(pipeline: Any, demo: Path, printed: str) -> None:
    """It ends with the store and with commands that work when they are copied."""
    end = printed[printed.rindex("175 sets") :]
    assert str(demo / "store") in end
    commands = re.findall(r"pipeline (.+)$", end, flags=re.MULTILINE)
    assert {command.split()[0] for command in commands} == {"status", "eval", "verify"}
    for command in commands:
        pipeline(*command.split())


def processor_seconds() -> float:
    """Return what ended processes have taken; unlike a clock it hardly counts other work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_second_run_plans_nothing_and_is_quick(pipeline: Any, demo: Path) -> None:
    """It has nothing to do, prints the same, and takes less than 2 s of processor time."""
    taken, alone = [], replace(pipeline, preloaded=False)
    for _ in range(3):
        before = processor_seconds()
        answer = alone("demo", "--store", demo / "store")
        taken.append(processor_seconds() - before)
        assert answer.stdout == (demo / "stdout.txt").read_text()
        assert answer.stderr.count("nothing to do") == 2
        assert "units" not in answer.stderr
    assert 0 < min(taken) < SECOND_RUN_SECONDS
    dry = pipeline("demo", "--store", demo / "store", "--dry-run").stdout
    assert dry.startswith("nothing to do")


def test_a_second_run_loads_nothing_heavy(pipeline: Any, demo: Path) -> None:
    """Neither torch, scikit-learn nor numba is loaded to show what is there."""
    loaded = pipeline.modules("demo", "--store", demo / "store")
    assert not loaded & {"torch", "sklearn", "numba", "transformers", "open_clip"}


@pytest.mark.parametrize(
    "command",
    [
        ("build", "all", "--run", "demo"),
        ("build", "corruptions", "--datasets", "phantom-oct"),
        ("embed", "--model", "texture,pixels"),
        ("embed", "--model", "texture", "--run", "demo"),
        ("eval", "--run", "demo"),
        ("eval", "--run", "demo", "--encoders", "texture"),
        ("plan", "--run", "demo"),
        ("explain", "medimeta-c/phantom-oct/test/contrast/3"),
        ("list", "sets"),
    ],
    ids=" ".join,
)
def test_other_commands_work_on_its_store(
    pipeline: Any, demo: Path, command: tuple[str, ...]
) -> None:
    """What the demo has made is what the other commands would make: nothing is left to do."""
    answer = pipeline(*command, "--store", demo / "store")
    if command[0] in {"build", "embed", "plan"}:
        assert "nothing to do" in answer.stdout + answer.stderr


def test_its_results_are_whole(pipeline: Any, demo: Path) -> None:
    """36 sets, 10 metrics and each recall, 2 encoders, 2 protocols; ratios to the baseline."""
    document = pipeline("eval", "--run", "demo", "--store", demo / "store", "--json").json
    sets = {(row["dataset"], row["metric"]) for row in document["results"]}
    assert len({metric for _, metric in sets if not metric.startswith("recall/")}) == 10
    assert len(document["results"]) == 36 * len(sets) * 2 * 2
    means = [row for row in document["summary"] if row["metric"] == "mce"]
    assert len(means) == 5 * 2 * 2
    assert all(row["value"] is not None for row in means), "the phantoms are neither trivial"
    probe = [
        row
        for row in document["results"]
        if (row["metric"], row["severity"]) == ("balanced_accuracy", 0)
        and (row["encoder"], row["protocol"]) == ("texture", "linear-probe")
    ]
    # Nor hopeless: each phantom is learnt better than by guessing.
    chance = {
        row["id"]: 1 / row["classes"]
        for row in pipeline("list", "datasets", "--json").json["datasets"]
    }
    assert len(probe) == 5
    for row in probe:
        assert row["ci_low"] > chance[row["dataset"]], row["dataset"]


def test_its_datasets_are_labelled_synthetic(pipeline: Any, demo: Path) -> None:
    """In the store's manifests and in the list of datasets, phantoms say what they are."""
    rows = pipeline("list", "datasets", "--store", demo / "store", "--json").json["datasets"]
    phantoms = [row for row in rows if row["id"].startswith("phantom-")]
    assert len(phantoms) == 5
    assert all(row["synthetic"] and "ynthetic" in row["title"] for row in phantoms)
    assert not [row for row in rows if row["synthetic"] and row not in phantoms]
    for manifest in (demo / "store" / "corruptions").rglob("manifest.json"):
        assert json.loads(manifest.read_text())["attributes"]["synthetic"] is True
