"""`audit images`: splits that share samples, through the command line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def leaky(tmp_path: Path, tiny: Any, pipeline: Any) -> tuple[object, ...]:
    """Return the options of a store where three test images are train images too."""
    arrays = tiny.arrays()
    arrays["test_images"][:3] = arrays["train_images"][5:8]
    tiny.write(arrays)
    at = ("--store", tmp_path / "store", "--manifests", tiny.manifests)
    pipeline("build", "datasets", *at, "--datasets", "tiny", "--from", tiny.data)
    return at


def test_shared_samples_are_named(leaky: tuple[object, ...], pipeline: Any) -> None:
    """The three are found, named in every form, and the exit code says so."""
    answer = pipeline("audit", "images", *leaky, "--json", "--out", "pairs.csv", rc=5)
    found = {(one["first"], one["second"]): one for one in answer.json["comparisons"]}
    assert set(found) == {
        ("tiny/train", "tiny/val"), ("tiny/train", "tiny/test"), ("tiny/val", "tiny/test"),
    }  # fmt: skip
    assert found["tiny/train", "tiny/test"]["shared"]["equal"] == {"pairs": 3, "confirmed": 3}
    chance = found["tiny/train", "tiny/test"]["chance"]["first"]
    assert chance["pairs"] > 1000
    assert 0 <= chance["rate_low"] <= chance["rate_high"] <= 1
    with (pipeline.folder / "pairs.csv").open() as file:
        equal = [row for row in csv.DictReader(file) if row["kind"] == "equal"]
    assert {(row["first"], row["second"]) for row in equal} == {
        (f"train/{5 + n:06}", f"test/{n:06}") for n in range(3)
    }
    told = pipeline("audit", "images", *leaky, rc=5).stdout
    assert "equal: tiny/train train/000005 and tiny/test test/000000" in told


def test_a_comparison_is_kept(leaky: tuple[object, ...], pipeline: Any) -> None:
    """A second run reads what the first one found; a dry run shows there is nothing to do."""
    pipeline("audit", "images", *leaky, rc=5)
    assert "nothing to do" in pipeline("audit", "images", *leaky, rc=5).stderr
    assert pipeline("audit", "images", *leaky, "--dry-run", "--json").json["units"] == []
    pipeline("verify", *leaky[:2])


def test_nothing_to_compare(pipeline: Any, store: Path, tiny: Any) -> None:
    """Without two splits the command says what to build; a name that is unknown is refused."""
    at = ("--store", store, "--manifests", tiny.manifests)
    pipeline("audit", "images", *at, rc=4).refused(4, "pipeline build datasets")
    pipeline("audit", "images", *at, "--datasets", "tiny", rc=4).refused(4, "--datasets tiny")
    pipeline("audit", "images", *at, "--datasets", "tinny", rc=2).refused(2, "tiny")
