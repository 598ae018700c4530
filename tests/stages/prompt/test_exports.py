"""Exports load as the original projects load them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from pipeline.errors import UsageError
from stages.prompt.attributes import Attributes, Prompt
from stages.prompt.export import EXPORTS, PromptRow, left_out
from stages.prompt.record import EMPTY, FAILED, OK, PoudelMeasures, Record, Region

DESIGNS = ("original", "underdescriptive", "overdescriptive", "contradictory", "missing_location")
WHOLE = Region(
    area=60,
    box=(10, 20, 20, 26),
    centroid=(15.0, 23.0),
    cells=(0, 0, 0, 0, 60, 0, 0, 0, 0),
    equivalent_diameter=8.74,
    eccentricity=0.8,
    solidity=1.0,
    circularity=0.7,
    euler=1,
    touches_border=False,
)


def record(sample: str, status: str = OK) -> Record:
    """Return a record of a 50 x 40 image with one object, an empty one, or a failed one."""
    box = (10, 20, 20, 26) if status == OK else (40, 50, 0, 0)
    measures = PoudelMeasures((0.03,) if status == OK else (), ("center",), box)
    if status == FAILED:
        return Record(sample, "polyp", status, "no mask", 0, 0, None, (), False, None, None, None)
    whole = WHOLE if status == OK else None
    regions = (WHOLE,) if whole else ()
    return Record(sample, "polyp", status, "", 50, 40, whole, regions, False, None, measures, None)


def rows(sample: str, split: str = "test", status: str = OK) -> list[PromptRow]:
    """Return prompts p10, p1 (two variants), p0 and the five designs of one sample."""
    values = {"class": "polyp", "number": "one"} if status == OK else {"class": "polyp"}
    attributes = Attributes(values, dict.fromkeys(values, "measured"), int(status == OK))
    prompts = [
        Prompt("p10", 0, True, f"one polyp in {sample}"),
        Prompt("p1", 1, True, f'a "polyp", seen\nin {sample}'),
        Prompt("p1", 0, False, "polyp"),
        Prompt("p0", 0, True, ""),
        Prompt("p10-size-random", 0, True, "one zygote polyp", "falsified", ("size",)),
        *(Prompt(design, 0, False, f"{design}, not chosen") for design in DESIGNS),
        *(Prompt(design, 1, True, f"{design} of {sample}") for design in DESIGNS),
    ]
    return [
        PromptRow(
            sample,
            "polyp",
            f"{sample}.jpg",
            f"sub/{sample}.png",
            prompt,
            attributes,
            record(sample, status),
            split,
            "own",
        )
        for prompt in prompts
    ]


ALL = [
    *rows("ä b", "train"),
    *rows("c", "val"),
    *rows("=1+1"),
    *rows("none", status=EMPTY),
    *rows("broken", status=FAILED),
]


def test_medvlsm_is_read_as_the_original_loader_reads_it(tmp_path: Path) -> None:
    """Names, and prompts by type with p0 first: a text, or a list where there are variants."""
    path = tmp_path / "anns" / "prompts.json"
    assert EXPORTS["medvlsm"](ALL, path) == [path]
    with path.open(encoding="ascii") as file:
        found = json.load(file)
    assert [one["img_name"] for one in found] == ["ä b.jpg", "c.jpg", "=1+1.jpg", "none.jpg"]
    assert found[0]["mask_name"] == "sub/ä b.png"
    for number, one in enumerate(found):
        assert list(one["prompts"]) == ["p0", "p1", "p10"]
        assert list(one["prompts"].values())[1:]  # what a random prompt is chosen from
        assert one["prompts"]["p0"] == ""
        assert one["prompts"]["p1"][0] == "polyp"
        assert isinstance(one["prompts"]["p1"], list)
        assert isinstance(one["prompts"]["p10"], str)
        assert one["sentences"] == [{"idx": 0, "sent_id": number, "sent": ""}]
        assert (one["cat"], one["sentences_num"]) == (0, 1)
    assert found[0]["bbox"] == [10, 20, 20, 26]
    assert found[-1]["bbox"] == [40, 50, 0, 0]
    assert left_out(ALL) == 1


def test_medvlsm_folder_has_a_file_per_split(tmp_path: Path) -> None:
    """A path without a suffix is a folder with train.json, val.json and test.json."""
    paths = EXPORTS["medvlsm"](ALL, tmp_path / "anns")
    assert [path.name for path in paths] == ["train.json", "val.json", "test.json"]
    assert [len(json.loads(path.read_text())) for path in paths] == [1, 1, 2]


def test_medclipseg_is_read_as_the_original_reads_it(tmp_path: Path) -> None:
    """Workbooks by split and design give the chosen captions through pandas."""
    paths = EXPORTS["medclipseg"](ALL, tmp_path / "Prompts_Folder")
    tests = [f"Test_text_{design}.xlsx" for design in DESIGNS]
    assert sorted(path.name for path in paths) == sorted(
        ["Train_text.xlsx", "Val_text.xlsx", *tests]
    )
    for design in DESIGNS:
        path = tmp_path / "Prompts_Folder" / f"Test_text_{design}.xlsx"
        assert pd.read_excel(path).to_dict("records") == [
            {"Image": f"{name}.jpg", "Description": f"{design} of {name}",
             "Ground Truth": f"sub/{name}.png"}
            for name in ("=1+1", "none")
        ]  # fmt: skip
    train = pd.read_excel(tmp_path / "Prompts_Folder" / "Train_text.xlsx")
    assert list(train.columns) == ["Image", "Description", "Ground Truth"]
    assert train["Description"].tolist() == ["original of ä b"]


def test_one_workbook_has_the_original_design(tmp_path: Path) -> None:
    """A path with a suffix is one workbook of every split; equal rows give equal bytes."""
    paths = [tmp_path / "a.xlsx", tmp_path / "b.xlsx"]
    for path in paths:
        assert EXPORTS["medclipseg"](ALL, path) == [path]
    assert len(pd.read_excel(paths[0])) == 4
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_workbook_without_its_design_is_refused(tmp_path: Path) -> None:
    """Prompts without the five designs make no workbook, and nothing is written."""
    only = [row for row in ALL if row.prompt.design.startswith("p1")]
    with pytest.raises(UsageError, match="original"):
        EXPORTS["medclipseg"](only, tmp_path / "a.xlsx")
    assert not list(tmp_path.iterdir())


def test_coco_loads_with_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Instances and captions load; an image without the target has captions and no instance."""
    paths = EXPORTS["coco"](ALL, tmp_path / "own.json")
    assert [path.name for path in paths] == ["own.json", "own.captions.json"]
    instances, captions = (COCO(str(path)) for path in paths)
    assert [one["file_name"] for one in instances.loadImgs([1, 2, 3, 4])] == [
        "ä b.jpg", "c.jpg", "=1+1.jpg", "none.jpg",
    ]  # fmt: skip
    assert instances.imgs == captions.imgs
    assert [one["name"] for one in instances.loadCats(instances.getCatIds())] == ["polyp"]
    found = instances.loadAnns(instances.getAnnIds(catIds=[1], areaRng=[0, 1e5], iscrowd=False))
    assert [one["image_id"] for one in found] == [1, 2, 3]
    assert found[0]["bbox"] == [10, 20, 10, 6]
    assert found[0]["area"] == 60
    assert all("segmentation" not in one for one in found)
    assert found[0]["prompts"]["p1"] == ["polyp", 'a "polyp", seen\nin ä b']
    of_empty = captions.loadAnns(captions.getAnnIds(imgIds=[4]))
    assert len(of_empty) == len(rows("none"))
    assert all(one["instance_id"] is None for one in of_empty)
    captions.showAnns(of_empty)
    assert "contradictory of none" in capsys.readouterr().out


def test_coco_folder_has_two_files_per_split(tmp_path: Path) -> None:
    """Files are named as those of COCO."""
    names = {path.name for path in EXPORTS["coco"](ALL, tmp_path / "annotations")}
    splits = ("train", "val", "test")
    assert names == {
        f"{kind}_{split}.json" for kind in ("instances", "captions") for split in splits
    }


def test_csv_has_every_prompt_and_attribute(tmp_path: Path) -> None:
    """One row per variant with its attributes; quotes and line ends in texts come back."""
    [path] = EXPORTS["csv"](ALL, tmp_path / "folder")
    assert path.name == "prompts.csv"
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, strict=True))
    assert len(found) == 4 * len(rows("c"))
    assert found[1]["text"] == 'a "polyp", seen\nin ä b'
    assert (found[1]["number"], found[1]["number_origin"]) == ("one", "measured")
    assert (found[0]["chosen"], found[2]["chosen"]) == ("true", "false")
    assert (found[4]["change"], found[4]["changed"]) == ("falsified", "size")
    assert path.read_bytes().split(b"\r\n", 1)[0].startswith(b"dataset,split,sample,target")
    table = pd.read_csv(path, keep_default_na=False)
    assert table["text"].tolist() == [one["text"] for one in found]


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40))
def test_csv_and_json_keep_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a prompt says comes back unchanged."""
    row = rows("c")[0]
    changed = PromptRow(
        row.sample, row.target, row.image_name, row.mask_name, Prompt("p1", 0, True, text),
        row.attributes, row.record, row.split, row.dataset,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("texts")
    EXPORTS["csv"]([changed], folder / "a.csv")
    EXPORTS["medvlsm"]([changed], folder / "a.json")
    with (folder / "a.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["text"] == text
    assert json.loads((folder / "a.json").read_text())[0]["prompts"]["p1"] == text


@pytest.mark.parametrize("form", sorted(EXPORTS))
def test_nothing_is_left_of_an_export_that_fails(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk refuses, what was there stays, and no temporary file is left."""
    kept = tmp_path / "prompts.json"
    kept.write_text("before")

    def refuse(_handle: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        EXPORTS[form](ALL, kept)
    assert kept.read_text() == "before"
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("form", ["medvlsm", "coco", "csv"])
def test_no_rows_are_an_empty_file(form: str, tmp_path: Path) -> None:
    """A dataset of which everything failed gives a valid file without entries."""
    paths = EXPORTS[form](rows("broken", status=FAILED), tmp_path / "a.json")
    assert all(path.stat().st_size for path in paths)
