"""A labelled folder of images, from a manifest to results, as it is, gone, and changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

MANIFEST = """
schema = 1
id = "chests"
title = "Chests in a folder"
collection = "mine"
modality = "synthetic chest X-ray"
task = "multi-class"
classes = ["normal", "bacterial", "viral"]
channels = 1
size = 64
synthetic = true
citation = "none"
[licence]
spdx = "CC0-1.0"
redistribution = "pixels"
share_alike = false
source = "the tests"
[reader]
form = "folder"
[source]
kind = "folder"
path = "../../images"
"""
ONLY = ("--only", "medimeta-c/chests/test/contrast")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with 18 train and 9 test pictures and their manifest."""
    from PIL import Image

    from stages.download.phantom import generate

    names = ("normal", "bacterial", "viral")
    for split, count in (("train", 18), ("test", 9)):
        for index in range(count):
            phantom = generate("chest", 64, split, index, classes=3)
            folder = tmp_path / "images" / split / names[phantom.label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(phantom.image[..., 0]).save(folder / f"{index:03d}.png")
    (tmp_path / "my" / "datasets").mkdir(parents=True)
    (tmp_path / "my" / "datasets" / "chests.toml").write_text(MANIFEST)
    return tmp_path


def test_a_folder_goes_all_the_way(pipeline: Any, place: Path) -> None:
    """Its results need the folder no more; a changed folder makes what came from it stale."""
    at = ("--store", place / "store", "--manifests", place / "my")
    pipeline("build", "corruptions", *ONLY, *at)
    pipeline("embed", "--model", "pixels", *ONLY, *at)
    first = pipeline("eval", "--baseline", "pixels", *ONLY, *at, "--json").json
    clean = [row for row in first["results"] if row["severity"] == 0]
    assert {row["n"] for row in clean} == {9}
    (place / "images").rename(place / "elsewhere")
    again = pipeline("eval", "--baseline", "pixels", *ONLY, *at, "--json").json
    assert again["results"] == first["results"]
    states = {row["state"] for row in pipeline("status", "chests", *at, "--json").json["artifacts"]}
    assert "stale" not in states
    shutil.copytree(place / "elsewhere", place / "images")
    next((place / "images" / "test" / "viral").iterdir()).unlink()
    rows = pipeline("status", "datasets/chests/test", *at, "--json").json["artifacts"]
    assert sorted((row["state"], row["rows"]) for row in rows) == [("missing", 8), ("stale", 9)]
    reasons = pipeline("explain", "datasets/chests/test", *at, "--json").json["artifacts"][0]
    assert any("sources/folder/chests" in reason for reason in reasons["reasons"])
