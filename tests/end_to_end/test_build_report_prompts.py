"""Reports beside images as prompts, as a person asks for them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

REPORT = "FINDINGS: Heart size is normal, {a size} [sic] nodule, no effusion."
MANIFEST = """
schema = 1
id = "lungs"
title = "Lungs"
collection = "mine"
modality = "drawn"
task = "segmentation"
typical_size = [90, 120]
channels = 1
prompt_family = "chest-xray-report"
frame = "patient"
synthetic = true
citation = "none"
access = "drawn by the tests"
[[targets]]
name = "lung"
noun = "lung"
[licence]
spdx = "CC0-1.0"
redistribution = "pixels"
share_alike = false
source = "the tests"
[reader]
form = "pairs"
images = ["files/{study}/{stem}.png"]
masks = ["masks/{stem}.png"]
report = "files/{study}.txt"
[source]
kind = "folder"
path = "../../lungs"
[[split_sets]]
name = "all"
source = "the tests"
"""


@pytest.fixture
def lungs(tmp_path: Path) -> Path:
    """Three images of two studies, of which one has a report, and a manifest beside them."""
    root = tmp_path / "lungs"
    for study, stem in (("s1", "a"), ("s1", "b"), ("s2", "c")):
        mask = np.zeros((90, 120), np.uint8)
        mask[10:40, 10:40] = 255
        for folder, pixels in ((f"files/{study}", mask // 2 + 60), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{stem}.png")
    (root / "files" / "s1.txt").write_text(f"  {REPORT}\n\n")
    manifests = tmp_path / "manifests" / "datasets"
    manifests.mkdir(parents=True)
    (manifests / "lungs.toml").write_text(MANIFEST)
    return tmp_path


@pytest.mark.parametrize("rules", ["poudel", "fixed"])
def test_a_build_tells_whose_report_is_missing(pipeline: Any, lungs: Path, rules: str) -> None:
    """The image is a failed row with the reason, and the others are exported with theirs."""
    ask = (
        *("build", "prompts", "--datasets", "lungs", "--manifests", lungs / "manifests"),
        *("--store", lungs / "store", "--rules", rules, "--json"),
        *("--export", f"csv={lungs}/a.csv", "--export", f"medvlsm={lungs}/a.json"),
    )
    (split,) = pipeline(*ask).json["prompts"]
    assert (split["images"], split["rows"], split["failed"]) == (3, 4, 1)
    (failure,) = split["failures"]
    assert failure["sample"] == "c"
    assert "'report' is not known" in failure["error"]
    with (lungs / "a.csv").open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["prompt"] == "p1"]
    told = [(one["sample"], one["text"], one["report"], one["report_origin"]) for one in lines]
    assert told == [(name, REPORT, REPORT, "metadata") for name in ("a", "b")]
    assert [row["prompts"]["p1"] for row in json.loads((lungs / "a.json").read_text())] == [
        REPORT,
        REPORT,
    ]
