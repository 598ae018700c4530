"""Published prompt files are recognised by content, read whole, or refused with a place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from pipeline.errors import DataError, MissingInputError
from stages.prompt.published import read_published

DATA = Path(os.environ.get("MEDSHARDS_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
FULL = "one small pink round polyp, located in top left of the image"
ENTRY = {
    "bbox": [1, 2, 30, 40],
    "img_name": "a.jpg",
    "mask_name": "a.png",
    "prompts": {
        "p0": "",
        "p1": "polyp",
        "p2": "round polyp",
        "p3": "pink round polyp",
        "p4": "small pink round polyp",
        "p5": "one small pink round polyp",
        "p6": FULL,
    },
}


def json_file(path: Path, *entries: Any) -> Path:
    """Write a JSON file of the entries."""
    path.write_text(json.dumps(entries))
    return path


def workbook(path: Path, *lines: tuple[Any, ...]) -> Path:
    """Write a workbook of the lines."""
    book = Workbook()
    for line in lines:
        book.worksheets[0].append(line)
    book.save(path)
    return path


def test_json_gives_names_box_prompts_and_attributes(tmp_path: Path) -> None:
    """A row has all that was published, whatever the suffix of the file."""
    found = read_published(json_file(tmp_path / "prompts.xlsx", ENTRY))
    assert (found.form, found.design) == ("medvlsm", "")
    [row] = found.rows
    assert (row.row, row.image_name, row.mask_name) == (1, "a.jpg", "a.png")
    assert row.box == (1, 2, 30, 40)
    assert row.prompts["p6"] == (FULL,)
    assert not row.empty
    assert {"number": "one", "size": "small", "location": "top left"}.items() <= set(
        row.attributes.items()
    )


def test_json_without_the_target(tmp_path: Path) -> None:
    """A record whose every prompt says that there is nothing is known as empty."""
    none = ENTRY | {"prompts": {"p0": "", "p1": "no polyp", "p2": ["no polyp", "No polyp at all"]}}
    [row] = read_published(json_file(tmp_path / "a.json", none)).rows
    assert row.empty
    assert not row.attributes


def test_json_with_disagreeing_prompts_keeps_the_most_frequent_word(tmp_path: Path) -> None:
    """Prompts that disagree are told with the words, and one word is taken."""
    prompts = ENTRY["prompts"] | {"p4": "large pink round polyp"}
    [row] = read_published(json_file(tmp_path / "a.json", ENTRY | {"prompts": prompts})).rows
    assert row.attributes["size"] == "small"
    [dispute] = row.stated.disputes
    assert dispute.attribute == "size"
    assert set(dispute.words) == {"p4: large", "p6: small"}


@pytest.mark.parametrize(
    ("changed", "phrase"),
    [
        ({"img_name": None}, "'img_name' must be a file name"),
        ({"mask_name": " "}, "'mask_name' must be a file name"),
        ({"prompts": {}}, "'prompts' must be an object"),
        ({"prompts": ["polyp"]}, "'prompts' must be an object"),
        ({"prompts": {"p1": 3}}, "prompt 'p1' must be a text"),
        ({"prompts": {"p1": []}}, "prompt 'p1' must be a text"),
        ({"bbox": [1, 2, 3]}, "'bbox' must be a list of four"),
        ({"bbox": [1, 2, 3, 4.5]}, "whole numbers"),
        ({"bbox": [1, 2, 3, float("inf")]}, "whole numbers"),
    ],
)
def test_bad_json_rows_are_named(tmp_path: Path, changed: dict[str, Any], phrase: str) -> None:
    """File, row and fault are told."""
    path = json_file(tmp_path / "a.json", ENTRY, ENTRY | changed)
    with pytest.raises(DataError, match=phrase) as told:
        read_published(path)
    assert str(told.value).startswith(f"{path}: row 2: ")


def test_workbook_is_read_with_either_header(tmp_path: Path) -> None:
    """Ground Truth or Mask; line ends and white space go; empty lines are passed over."""
    for header in ("Ground Truth", "Mask"):
        lines = [("Image", "Description", header), ("a.png", f"{FULL}\n", "a.jpeg")]
        lines += [(None, None, None), (7, "No polyp\n", 7)]
        found = read_published(workbook(tmp_path / "Test_text_overdescriptive.xlsx", *lines))
        assert (found.form, found.design) == ("medclipseg", "overdescriptive")
        assert [row.row for row in found.rows] == [2, 4]
        first, last = found.rows
        assert (first.image_name, first.mask_name, first.text) == ("a.png", "a.jpeg", FULL)
        assert first.prompts == {"overdescriptive": (FULL,)}
        assert first.attributes["location"] == "top left"
        assert (last.image_name, last.empty) == ("7", True)


def test_empty_workbooks_have_no_rows(tmp_path: Path) -> None:
    """A sheet of nothing and one of a header alone are files without rows."""
    header = ("Image", "Description", "Ground Truth")
    assert read_published(workbook(tmp_path / "Val_text.xlsx")).rows == ()
    assert read_published(workbook(tmp_path / "Val_text.xlsx", header)).rows == ()


def test_bad_workbooks_say_where(tmp_path: Path) -> None:
    """A missing column is told with what was found, an empty cell with its line."""
    path = workbook(tmp_path / "a.xlsx", ("Image", "Text", "Mask"), ("a", "b", "c"))
    with pytest.raises(DataError, match=r"a\.xlsx: line 1: no column 'Description'.*'Text'"):
        read_published(path)
    header = ("Image", "Description", "Ground Truth")
    path = workbook(tmp_path / "b.xlsx", header, ("a", "b", "c"), ("a", None, "c"))
    with pytest.raises(DataError, match=r"b\.xlsx: row 3: nothing in column 'Description'"):
        read_published(path)


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "neither a JSON file"),
        (b"Image,Description", "neither a JSON file"),
        (b"{}", "a list of objects is expected"),
        (b"[1]", "row 1: an object is expected"),
        (b"[{", "cannot be read as JSON"),
        (b'["\xff"]', "cannot be read as JSON"),
        (b"PK\x03\x04 and no more", "cannot be read as a workbook"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, phrase: str) -> None:
    """What is neither form is refused in one line."""
    path = tmp_path / "prompts.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=phrase) as told:
        read_published(path)
    assert str(path) in str(told.value)


def test_absent_file_is_a_missing_input(tmp_path: Path) -> None:
    """A file that is not there exits 4, a folder is an error."""
    with pytest.raises(MissingInputError):
        read_published(tmp_path / "absent.json")
    with pytest.raises(DataError):
        read_published(tmp_path)


@pytest.mark.skipif(not (DATA / "prompts").is_dir(), reason="no published prompts at hand")
def test_every_published_file_is_read() -> None:
    """All files at hand are read; every JSON row follows the published templates."""
    counts = {}
    for path in sorted((DATA / "prompts").glob("*/*/*.[jx]*")):
        found = read_published(path)
        counts[f"{path.parent.name}/{path.name}"] = len(found.rows)
        assert not any(row.stated.strange or row.stated.disputes for row in found.rows)
    assert counts["isic/test.json"] == 379
    assert counts["camus/test.json"] == 600
    assert counts["CVC300/Test_text_original.xlsx"] == 60
