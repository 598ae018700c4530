"""`pipeline compare` as a person runs it: published folders against the suites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.corrupt import corrupt
from tests.end_to_end.options import at

NAMES = ("contrast", "gaussian_noise")


@pytest.fixture
def published(read_only_tiny: Any, tmp_path: Path) -> Path:
    """Return a folder of sets of the tiny dataset's test split, as somebody might publish them."""
    folder = tmp_path / "published" / "tiny" / "test"
    folder.mkdir(parents=True)
    images = read_only_tiny.arrays()["test_images"]
    for name in NAMES:
        for severity in (1, 3):
            made = [corrupt(image, name, severity, sample=k) for k, image in enumerate(images)]
            np.savez(
                folder / f"{name}_severity_{severity}.npz", images=made, labels=images[:, 0, 0]
            )
    return tmp_path / "published"


def test_against_a_split_of_the_store(pipeline: Any, read_only_tiny: Any, published: Path) -> None:
    """The JSON records sample, seed and clean images, and every code path of every set."""
    command = ("compare", published, "--dataset", "tiny", "--samples", 16, "--seed", 3)
    found = pipeline(*command, *at(read_only_tiny), "--json").json
    assert found["schema"] == "medshards/compare/1"
    assert (found["samples"], found["seed"], found["images"]) == (16, 3, 24)
    assert len(set(found["rows"])) == 16
    assert found["clean"] == "tiny/test in the store"
    assert found["layout"] == "robustmedclip"
    assert [one["corruption"] for one in found["corruptions"]] == list(NAMES)
    for one in found["corruptions"]:
        assert one["verdict"] == "most resembles"
        assert "medimeta-c" in one["resembles"]
        assert "imagecorruptions" in one["skipped"]  # 28 pixels are too few for it
        for path in (path for each in one["sets"] for path in each["code_paths"]):
            assert {"names", "storage", "random", "score", "p", "ruled_out", "pixels"} <= set(path)


def test_table_says_resembles_and_no_more(
    pipeline: Any, read_only_tiny: Any, published: Path
) -> None:
    """The table has a row per corruption, nothing claims identity, and no model is loaded."""
    file = published / "tiny" / "test" / "clean.npz"
    np.savez(file, images=read_only_tiny.arrays()["test_images"])
    answer = pipeline("compare", published, "--store", published / "no-store")
    lines = answer.stdout.splitlines()
    assert len(lines) == 1 + len(NAMES)
    assert all("most resembles" in line for line in lines[1:])
    assert "identical" not in answer.stdout + answer.stderr
    assert not (published / "no-store").exists()
    loaded = pipeline.modules("compare", published, mode="isolated")
    assert not loaded & {"torch", "open_clip", "transformers", "timm"}


def test_rows_in_another_order(pipeline: Any, read_only_tiny: Any, published: Path) -> None:
    """Clean images in another order are reported in the table, with exit code 1."""
    clean = published / "reversed.npz"
    rng = np.random.default_rng(0)
    np.savez(clean, images=rng.permutation(read_only_tiny.arrays()["test_images"]))
    answer = pipeline("compare", published, "--clean", clean, rc=1)
    answer.refused(1, "not in the order of", "reversed.npz")
    assert answer.stdout.count("rows not aligned") == len(NAMES)


def test_missing_clean_images(pipeline: Any, read_only_tiny: Any, published: Path) -> None:
    """No clean images beside the sets, in the named file or in the store: exit 4, with advice."""
    pipeline("compare", published, rc=4).refused(4, "clean.npz", "--clean", "--dataset")
    absent = pipeline("compare", published, "--clean", published / "absent.npz", rc=4)
    absent.refused(4, "absent.npz")
    empty = ("--store", published / "empty", "--manifests", read_only_tiny.manifests)
    unbuilt = pipeline("compare", published, "--dataset", "tiny", *empty, rc=None)
    unbuilt.refused(4, "tiny/test is not built", "pipeline build datasets")


def test_unknown_layout_and_names(pipeline: Any, read_only_tiny: Any, published: Path) -> None:
    """A folder in no layout and a dataset that nobody declares: exit 2, with what was expected."""
    (published / "nothing").mkdir()
    answer = pipeline("compare", published / "nothing", rc=2)
    answer.refused(2, "_severity_", "test_images")
    named = pipeline("compare", published, "--dataset", "tinny", *at(read_only_tiny), rc=2)
    named.refused(2, "tinny")
