"""The rules of the house: who imports whom, how large things are, and that every manifest loads."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import shape
from pipeline.cli.study import Study
from pipeline.store import Store

REPOSITORY = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(REPOSITORY)
    for package in ("pipeline", "stages", "manifests")
    for path in (REPOSITORY / package).rglob("*.py")
)
VAGUE = {"utils", "util", "common", "helpers", "helper", "core", "manager", "misc"}


def test_imports_point_the_right_way() -> None:
    """Every import contract of pyproject.toml holds."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("package", shape.PACKAGES)
def test_modules_stay_small(package: str) -> None:
    """No module or function is long or deeply nested, and most are far from the limit."""
    modules = shape.modules(package)
    assert [fault for module in modules for fault in module.faults] == []
    assert statistics.median(module.lines for module in modules) < shape.MEDIAN_MODULE
    lengths = [function.lines for module in modules for function in module.functions]
    assert statistics.median(lengths) < shape.MEDIAN_FUNCTION


def test_no_name_is_vague() -> None:
    """Neither a folder nor a module is called what could hold anything."""
    assert [path for path in MODULES if {*path.parts[:-1], path.stem} & VAGUE] == []


def test_the_engine_knows_no_medicine() -> None:
    """No engine module outside the command line names a stage, a dataset or an encoder."""
    for path in MODULES:
        if path.parts[0] == "pipeline" and path.parts[1] not in {"cli", "reading.py"}:
            tree = ast.parse((REPOSITORY / path).read_text())
            imported = {
                name.partition(".")[0]
                for node in ast.walk(tree)
                for name in (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
            }
            assert "stages" not in imported, path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Return the graph of what the shipped manifests declare."""
    return Study(Store(tmp_path))


def test_every_shipped_dataset_loads(study: Study) -> None:
    """Five MedIMeta tasks, twelve MedMNIST sets in four sizes, five phantoms and road scenes.

    Those with masks are in `tests/stages/download/test_segmentation_manifests.py`.
    """
    by_collection: dict[str, list[str]] = {}
    for dataset in study.datasets.values():
        if dataset.task == "segmentation":
            continue
        by_collection.setdefault(dataset.collection, []).append(dataset.id)
        # The splits of a folder that a person places are counted there.
        assert dataset.collection == "driving" or study.splits(dataset.id)
        assert dataset.prompts
    assert sorted(by_collection["medimeta"]) == ["fundus", "mammo_calc", "oct", "pbc", "pneumonia"]
    organs = ("organa", "organc", "organs")
    others = ("blood", "breast", "chest", "derma", "oct", "path", "pneumonia", "retina", "tissue")
    assert sorted(by_collection["medmnist"]) == sorted(
        f"{name}mnist-{size}" for name in (*organs, *others) for size in (28, 64, 128, 224)
    )
    assert len(by_collection["phantom"]) == 5
    assert by_collection["driving"] == ["road-scenes"]
    assert len(by_collection) == 4


def test_every_shipped_suite_loads(study: Study) -> None:
    """MediMeta-C has seven corruptions at five severities."""
    for suite in study.suites.values():
        assert all(len(corruption.severities) == 5 for corruption in suite.corruptions)
    assert len(study.suites["medimeta-c"].corruptions) == 7


def test_every_shipped_encoder_loads(study: Study) -> None:
    """The learned and the embedded encoders are declared."""
    expected = {"clip-vit-b16", "clip-rn50", "biomedclip", "texture", "pixels"}
    assert study.encoders.keys() >= expected


def test_every_shipped_run_names_what_is_declared(study: Study) -> None:
    """Datasets, suites, encoders, baseline and prompt sets of every run exist."""
    assert study.runs.keys() >= {"demo", "medimeta-c", "robustmedclip"}
    for run in study.runs.values():
        assert study.datasets.keys() >= set(run.datasets)
        assert study.suites.keys() >= set(run.suites)
        assert study.encoders.keys() >= {*run.encoders, run.baseline}
        for name in run.datasets:
            assert run.prompts in study.dataset(name).prompts
    assert len(study.runs["robustmedclip"].datasets) == 10
