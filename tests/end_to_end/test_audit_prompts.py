"""`pipeline audit prompts` as a person runs it: published files, with and without their masks."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image

from stages.prompt.measure import measure

DATA = Path(os.environ.get("MEDSHARDS_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SIZE = (90, 120)
OBJECTS: dict[str, list[tuple[slice, slice]]] = {
    "centre": [(np.s_[35:55], np.s_[45:75])],
    "corner": [(np.s_[2:8], np.s_[3:9])],
    "the big one": [(np.s_[5:85], np.s_[8:118])],
    "zwölf": [(np.s_[62:88], np.s_[85:118])],
    "pair": [(np.s_[5:25], np.s_[50:70]), (np.s_[65:85], np.s_[50:70])],
    "nothing": [],
}
WORDS = {
    "centre": ("one", "small", "center"),
    "corner": ("one", "small", "top left"),
    "the big one": ("one", "large", "right"),  # x is compared with thirds of the height
    "zwölf": ("one", "small", "bottom right"),
    "pair": ("two", "small", "top, bottom"),
}
"""By hand: 600, 36, 8800, 858 and 400 pixels per object, of 10800."""


def prompts(number: str, size: str, place: str) -> dict[str, str]:
    """Return P0 to P6 in the published grammar."""
    full = f"{number} {size} pink round polyp"
    return {
        "p0": "",
        "p1": "polyp",
        "p2": "round polyp",
        "p3": "pink round polyp",
        "p4": f"{size} pink round polyp",
        "p5": full,
        "p6": f"{full}, located in {place} of the image",
    }


NONE = dict.fromkeys(prompts("", "", ""), "no polyp") | {"p0": ""}


class Published:
    """Images, masks and a true prompt file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.images, self.masks = folder / "images", folder / "masks"
        self.file = folder / "test.json"
        self.images.mkdir(parents=True)
        self.masks.mkdir()
        self.rows: dict[str, dict[str, Any]] = {}
        for number, (name, objects) in enumerate(OBJECTS.items()):
            mask = np.zeros(SIZE, np.uint8)
            for place in objects:
                mask[place] = 255
            Image.fromarray(mask).save(self.masks / f"{name}.png")
            noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
            picture = Image.fromarray(noise).resize(SIZE[::-1])
            picture.save(self.images / f"{name}.png")
            found = measure(name, "polyp", mask).poudel
            assert found is not None
            self.rows[name] = {
                "bbox": list(found.box),
                "img_name": f"{name}.png",
                "mask_name": f"{name}.png",
                "prompts": prompts(*WORDS[name]) if name in WORDS else dict(NONE),
            }
        self.write()

    @property
    def options(self) -> tuple[object, ...]:
        """The file and its folders."""
        return (self.file, "--images", self.images, "--masks", self.masks)

    def write(self, *more: dict[str, Any]) -> None:
        """Write the rows as they are now."""
        self.file.write_text(json.dumps([*self.rows.values(), *more]))


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """Return a published file in which everything is right."""
    return Published(tmp_path)


def told(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return kind, sample and attribute of every problem."""
    return {(one["kind"], one["sample"], one["attribute"]) for one in document["problems"]}


def test_true_prompts_pass(pipeline: Any, published: Published) -> None:
    """Exit 0, no problem, every attribute compared; nothing loads a model."""
    found = pipeline("audit", "prompts", *published.options, "--json").json
    assert found["schema"] == "medshards/audit/1"
    assert found["problems"] == []
    assert (found["form"], found["rules"], found["against"]) == ("medvlsm", "poudel", None)
    counts = {one["attribute"]: one for one in found["summary"]["attributes"]}
    assert [counts[name]["compared"] for name in ("number", "size", "location")] == [5, 5, 5]
    assert counts["bbox"]["agreeing"] == 6
    loaded = pipeline.modules("audit", "prompts", *published.options, mode="isolated")
    assert not loaded & {"torch", "open_clip", "transformers", "timm"}


FALSE = {
    "number": ("centre", prompts("two", "small", "center")),
    "size": ("corner", prompts("one", "tiny", "top left")),
    "location": ("zwölf", prompts("one", "small", "bottom left")),
}


@pytest.mark.parametrize("attribute", sorted(FALSE))
def test_one_falsified_attribute_is_found_and_nothing_else(
    pipeline: Any, published: Published, attribute: str
) -> None:
    """Exit 5 with the attribute of the sample, its published and its measured word."""
    name, texts = FALSE[attribute]
    published.rows[name]["prompts"] = texts
    published.write()
    found = pipeline("audit", "prompts", *published.options, "--json", rc=5).json
    assert {(one["sample"], one["attribute"]) for one in found["problems"]} == {
        (f"{name}.png", attribute)
    }
    kinds = ["disagreement"] + ["contradiction"] * (attribute == "number")  # of one place listed
    assert [one["kind"] for one in found["problems"]] == kinds
    assert set(found["problems"][0]) == {"kind", "sample", "attribute", "published", "measured"}
    counts = {one["attribute"]: one["disagreeing"] for one in found["summary"]["attributes"]}
    assert counts.pop(attribute) == 1
    assert not any(counts.values())


def test_every_other_falsehood_is_found(pipeline: Any, published: Published) -> None:
    """A moved box, a denied object, an invented one, a changed prompt, a repeated row."""
    rows = published.rows
    rows["centre"]["bbox"][2] += 1
    rows["corner"] |= {"prompts": dict(NONE), "bbox": None}
    rows["nothing"] |= {"prompts": prompts("one", "small", "left"), "bbox": None}
    rows["pair"]["prompts"]["p4"] = "large pink round polyp"
    published.write(rows["the big one"])
    found = pipeline("audit", "prompts", *published.options, "--json", rc=5).json
    assert told(found) == {
        ("disagreement", "centre.png", "bbox"),
        ("no-object", "corner.png", "class"),
        ("no-object", "nothing.png", "class"),
        ("contradiction", "pair.png", "size"),
        ("duplicate", "the big one.png", "name"),
    }


def test_files_that_are_not_as_they_should_be(pipeline: Any, published: Published) -> None:
    """Absent, unreadable and ill-fitting files are problems of their sample; the rest is read."""
    (published.masks / "centre.png").unlink()
    (published.images / "corner.png").unlink()
    (published.masks / "zwölf.png").write_bytes(b"no picture")
    Image.new("L", (50, 40)).save(published.masks / "nothing.png")
    copy = (published.images / "pair.png").read_bytes()
    (published.images / "the big one.png").write_bytes(copy)
    found = pipeline("audit", "prompts", *published.options, "--json", rc=5).json
    assert told(found) == {
        ("missing-mask", "centre.png", ""),
        ("missing-image", "corner.png", ""),
        ("unreadable", "zwölf.png", ""),
        ("other-size", "nothing.png", ""),
        ("duplicate", "pair.png", "image"),
    }
    assert found["summary"]["kinds"]["duplicate"] == 1


def test_table_and_csv(pipeline: Any, published: Published, tmp_path: Path) -> None:
    """People get a table per attribute and the problems in words; --out lists them all."""
    published.rows["corner"]["prompts"] = FALSE["size"][1]
    published.write()
    out = tmp_path / "new" / "problems.csv"
    answer = pipeline("audit", "prompts", *published.options, "--out", out, rc=5)
    lines = answer.stdout.splitlines()
    assert lines[0].split() == ["attribute", "stated", "compared", "agreeing", "disagreeing"]
    assert "disagreement: corner.png: size 'tiny' (small)" in lines
    assert "6 rows; problems: 1 disagreement" in answer.stderr
    with out.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["sample"], row["published"], row["measured"]) == ("corner.png", "tiny", "small")


def test_workbook_with_masks_of_other_names(pipeline: Any, published: Published) -> None:
    """Captions are compared too; masks come by another suffix or by a pattern."""
    book = Workbook()
    book.worksheets[0].append(("Image", "Description", "Ground Truth"))
    for name in WORDS:
        text = prompts(*WORDS[name])["p6"]
        book.worksheets[0].append((f"{name}.jpeg", f"{text}\n", f"{name}_other.bmp"))
        (published.masks / f"{name}.png").rename(published.masks / f"{name}_mask.png")
    path = published.file.with_name("Test_text_original.xlsx")
    book.save(path)
    given = (path, "--masks", published.masks)
    found = pipeline("audit", "prompts", *given, "--json", rc=5).json
    assert set(found["summary"]["kinds"]) == {"missing-mask"}
    pattern = ("--mask-pattern", "{stem}_mask.png", "--images", published.images)
    found = pipeline("audit", "prompts", *given, *pattern, "--json").json
    counts = {one["attribute"]: one["agreeing"] for one in found["summary"]["attributes"]}
    assert [counts[name] for name in ("number", "size", "location")] == [5, 5, 5]


def test_another_split_with_images(pipeline: Any, published: Published, tmp_path: Path) -> None:
    """A sample of both splits is found by name, and under another name by its bytes."""
    other = Published(tmp_path / "other")
    rows = [published.rows["centre"], other.rows["pair"] | {"img_name": "new.png"}]
    train = published.file.with_name("train.json")
    train.write_text(json.dumps(rows))
    (other.images / "pair.png").rename(other.images / "new.png")
    command = ("audit", "prompts", published.file, "--images", published.images)
    against = ("--against", train, "--against-images", other.images, "--json")
    found = pipeline(*command, *against, rc=5).json
    assert told(found) == {
        ("cross-split", "centre.png", "name"),
        ("cross-split", "pair.png", "image"),
    }
    assert found["against"] == str(train)
    assert found["summary"]["against"]["relation"] == "splits"


def test_wrong_requests(pipeline: Any, published: Published, tmp_path: Path) -> None:
    """Unknown names exit 2, absent files and folders 4, files of another kind 1."""
    run = ("audit", "prompts")
    pipeline(*run, *published.options, "--rules", "poudle", rc=2).refused(2, "poudel")
    both = (published.file, "--against", published.file)
    pipeline(*run, *both, "--relation", "split", rc=2).refused(2, "splits")
    pipeline(*run, published.file, "--relation", "splits", rc=2).refused(2, "--against")
    pipeline(*run, published.file, "--mask-pattern", "{stem}.png", rc=2).refused(2, "--masks")
    masks = (published.file, "--masks", published.masks, "--mask-pattern")
    pipeline(*run, *masks, "mask.png", rc=2).refused(2, "{stem}")
    pipeline(*run, tmp_path / "absent.json", rc=4).refused(4, "absent.json")
    pipeline(*run, published.file, "--masks", tmp_path / "no", rc=4).refused(4, "no such folder")
    table = tmp_path / "a.csv"
    table.write_text("Image,Description\n")
    pipeline(*run, table, rc=1).refused(1, "neither", "a.csv")


@pytest.mark.skipif(not (DATA / "prompts").is_dir(), reason="no published prompts at hand")
def test_published_workbooks_of_two_datasets(pipeline: Any) -> None:
    """CVC-300's captions are ColonDB's: 54 shared names, 54 equal, 6 without a partner."""
    folder = DATA / "prompts" / "medclipseg"
    command = (
        "audit",
        "prompts",
        folder / "CVC300" / "Test_text_original.xlsx",
        "--against",
        folder / "ColonDB" / "Test_text_original.xlsx",
    )
    found = pipeline(*command, "--json", rc=5).json
    summary = found["summary"]["against"]
    assert {name: summary[name] for name in ("shared", "equal", "different")} == {
        "shared": 54, "equal": 54, "different": 0,
    }  # fmt: skip
    assert (summary["without_partner"], summary["against_only"]) == (6, 306)
    assert found["summary"]["kinds"] == {"copied-text": 54, "without-partner": 6}
    answer = pipeline(*command, rc=5)
    assert "54 names in both, 54 with equal texts" in answer.stdout
    assert "6 without a partner there" in answer.stdout
