"""Prompts from a user's folder and from a declared dataset, as a person asks for them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline as medshards
from tests.end_to_end.blobs import MANIFEST, draw, save

ODD = "Läsion ñ 1"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with one, two and no squares; one name is beyond ASCII."""
    root = tmp_path / "photographs"
    draw(root, ODD, (5, 5, 20))
    draw(root, "two", (5, 5, 8), (60, 95, 20))
    draw(root, "none")
    return root


def asked(root: Path, *more: object) -> tuple[object, ...]:
    """Return the command of a folder."""
    folders = ("--images", root / "images", "--masks", root / "masks")
    return ("build", "prompts", *folders, "--class-name", "polyp", *more)


def texts(path: Path) -> dict[str, dict[str, Any]]:
    """Return the prompts of a medvlsm file by image."""
    return {row["img_name"]: row["prompts"] for row in json.loads(path.read_text())}


def test_one_command_and_no_manifest(pipeline: Any, photographs: Path, tmp_path: Path) -> None:
    """The published rules and answers give the published strings, word for word."""
    answers = tmp_path / "answers.csv"
    answers.write_text(f"image,shape,color\n{ODD}.png,round,pink\ntwo,oval,white\n", "utf-8")
    store, out = tmp_path / "store", tmp_path / "prompts.json"
    more = ("--rules", "poudel", "--answers", answers, "--export", f"medvlsm={out}")
    told = pipeline(*asked(photographs, *more), "--store", store, "--json").json
    (split,) = told["prompts"]
    assert (split["images"], split["empty"], split["failed"]) == (3, 1, 0)
    assert told["files"] == [str(out)]
    found = texts(out)
    # 20 x 20 of 90 x 120 pixels is 3.7 %.
    assert (
        found[f"{ODD}.png"]["p6"] == "one small pink round polyp, located in top left of the image"
    )
    assert len(found[f"{ODD}.png"]["p9"]) == 5
    two = "two small white oval polyp, located in top left, right of the image"
    assert found["two.png"]["p6"].startswith("two small white oval polyp, located in top left,")
    assert two.count("polyp") == 1
    assert found["none.png"]["p6"] == "no polyp"
    again = pipeline(*asked(photographs, *more), "--store", store)
    assert "nothing to do" in again.stderr
    assert pipeline("verify", "--store", store).rc == 0


def test_fixed_rules_and_every_export(pipeline: Any, photographs: Path, tmp_path: Path) -> None:
    """Good grammar, and four formats in one run; the audit finds no fault in them."""
    exports = {
        "medvlsm": tmp_path / "a.json",
        "medclipseg": tmp_path / "a.xlsx",
        "coco": tmp_path / "coco.json",
        "csv": tmp_path / "a.csv",
    }
    asks = [part for form, path in exports.items() for part in ("--export", f"{form}={path}")]
    pipeline(*asked(photographs, *asks), "--store", tmp_path / "store")
    found = texts(exports["medvlsm"])
    assert found["two.png"]["p6"] == (
        "two small red rectangular polyps, located in the top left and bottom right of the image"
    )
    assert found["none.png"]["p6"] == "no polyp in the image"
    assert all(path.stat().st_size for path in exports.values())
    with exports["csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["sample"] for row in rows} == {ODD, "two", "none"}
    swapped = [row for row in rows if row["prompt"].endswith("-opposite")]
    assert swapped
    assert {row["change"] for row in swapped} == {"falsified"}


def test_what_cannot_be_worded_is_told(pipeline: Any, photographs: Path, tmp_path: Path) -> None:
    """Each fault is a row with its reason, none gets a sentence, and the good ones are kept."""
    draw(photographs, "unmasked", (5, 5, 20))
    (photographs / "masks" / "unmasked.png").unlink()
    draw(photographs, "small mask", (5, 5, 20))
    save(photographs / "masks" / "small mask.png", np.full((45, 60), 255))
    draw(photographs, "torn", (5, 5, 20))
    (photographs / "masks" / "torn.png").write_bytes(b"not a picture")
    draw(photographs, "double", (5, 5, 20))
    save(photographs / "masks" / "double_mask.png", np.full((90, 120), 255))
    out = tmp_path / "a.csv"
    asks = asked(photographs, "--export", f"csv={out}", "--store", tmp_path / "store", "--json")
    answer = pipeline(*asks)
    (split,) = answer.json["prompts"]
    failed = {row["sample"]: row["error"] for row in split["failures"]}
    assert failed.keys() == {"unmasked", "small mask", "torn", "double"}
    assert "no mask" in failed["unmasked"]
    assert "60×45" in failed["small mask"]
    assert "cannot be decoded" in failed["torn"]
    assert "double_mask.png" in failed["double"]
    assert all(error in answer.stderr for error in failed.values())
    with out.open(encoding="utf-8", newline="") as file:
        assert {row["sample"] for row in csv.DictReader(file)} == {ODD, "two", "none"}


@pytest.mark.parametrize(
    ("options", "rc", "phrases"),
    [
        (("--rules", "poudle"), 2, ("unknown rule set 'poudle'", "'poudel'")),
        (("--export", "cocoa=x"), 2, ("unknown export format 'cocoa'", "'coco'")),
        (("--export", "prompts.json"), 2, ("FORMAT=PATH",)),
        (("--meaning", "instance"), 2, ("'instances'",)),
        (("--datasets", "kvasir"), 2, ("leave out --datasets",)),
        (("--family", "photo"), 2, ("photographic",)),
    ],
)
def test_mistakes(
    options: tuple[str, ...], rc: int, phrases: tuple[str, ...], pipeline: Any, photographs: Path
) -> None:
    """One line says what is wrong and what would be right."""
    where = ("--store", photographs.parent / "store")
    pipeline(*asked(photographs, *options), *where, rc=None).refused(rc, *phrases)
    assert not (photographs.parent / "store").exists()


def test_a_folder_needs_a_class(pipeline: Any, photographs: Path) -> None:
    """Nothing is guessed: the class is asked for, and so are datasets where nothing is named."""
    folders = ("--images", photographs / "images", "--masks", photographs / "masks")
    pipeline("build", "prompts", *folders, rc=None).refused(2, "--class-name")
    store = ("--store", photographs / "none")
    pipeline("build", "prompts", *store, rc=None).refused(2, "--datasets NAME", "--images DIR")


def test_a_declared_dataset_is_worded_and_corrupted(
    pipeline: Any, photographs: Path, tmp_path: Path
) -> None:
    """Images keep their size; an elastic corruption moves the masks along, others do not."""
    draw(photographs, "tall", (100, 40, 30), size=150)
    own = tmp_path / "my" / "datasets"
    own.mkdir(parents=True)
    (own / "blobs.toml").write_text(MANIFEST)
    at = ("--store", tmp_path / "store", "--manifests", tmp_path / "my")
    build = ("build", "prompts", "--datasets", "blobs", *at)
    assert not pipeline.modules(*build) & {"torch", "open_clip", "transformers"}
    suite = ("--suite", "imagenet-c", "--datasets", "blobs")
    only = [
        part for name in ("contrast", "elastic_transform") for part in ("--only", f"*/*/*/{name}/3")
    ]
    pipeline("build", "corruptions", *suite, *only, *at)
    store = medshards.open_store(tmp_path / "store")
    clean = store["blobs/test"]
    shapes = [image.shape for image in clean.images]
    assert sorted(shapes) == [(90, 120, 3)] * 3 + [(150, 120, 3)]
    for corruption, moves in (("contrast", False), ("elastic_transform", True)):
        one = store[f"imagenet-c/blobs/test/{corruption}/3"]
        assert [image.shape for image in one.images] == shapes
        same = all(np.array_equal(a, b) for a, b in zip(one.masks, clean.masks, strict=True))
        assert same != moves
    (row,) = pipeline("list", "datasets", *at, "--json").json["datasets"][-1:]
    assert row["id"] in {"blobs", "uwaterloo-medclipseg"}
    states = pipeline("status", *at, "--json").json["artifacts"]
    assert {row["state"] for row in states if row["stage"] in {"prompts", "records"}} == {"sealed"}
