"""What the README shows is what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pipeline.cli.study import Study
from pipeline.manifest import read_manifest
from pipeline.store import Store
from stages.corrupt import corrupt
from stages.corrupt.rendering import SUITES
from stages.corrupt.schema import SuiteManifest

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_suite_of_ones_own_works(tmp_path: Path) -> None:
    """The TOML shown is a suite, and renders."""
    blocks = re.findall(r"^```toml\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    (text,) = [block for block in blocks if "[[corruptions]]" in block]
    path = tmp_path / "dark-room.toml"
    path.write_text(text)
    suite = read_manifest(path, SuiteManifest)
    assert corrupt(np.full((32, 32), 100, np.uint8), "glare", 5, suite=suite).mean() == 177


def test_every_shipped_suite_is_described() -> None:
    """The table of suites is complete."""
    suites = _section("Corruption suites")
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", suites, flags=re.MULTILINE)) == sorted(SUITES)


def test_every_rule_set_and_dataset_with_masks_is_described(tmp_path: Path) -> None:
    """The tables of rule sets and of segmentation datasets are complete."""
    study = Study(Store(tmp_path))
    prompts = _section("Prompts from masks")
    rules = re.findall(r"^\| `([a-z-]+)` \|", prompts, flags=re.MULTILINE)
    assert sorted(rules) == sorted(study.rule_sets)
    ids = re.findall(r"^\| [^|`]+ \| `([a-z0-9-]+)` \|", prompts, flags=re.MULTILINE)
    assert sorted(ids) == sorted({one.family for one in study.segmentations.values()})


def _section(heading: str) -> str:
    """Return the text below a heading of the README."""
    return README.split(f"## {heading}\n")[1].split("\n## ")[0]
