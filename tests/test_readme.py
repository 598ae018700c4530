"""What the README shows is what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pipeline.manifest import read_manifest
from stages.corrupt import corrupt
from stages.corrupt.rendering import shipped_suites
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
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", README, flags=re.MULTILINE)) == sorted(
        shipped_suites()
    )
