"""Split sets: published lists, folders, everything; and what they leave wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from pipeline.errors import DataError, MissingInputError, UsageError
from pipeline.store import Store
from stages.download.declared import splits_of
from stages.download.segmenting.schema import SegmentationDataset
from stages.download.segmenting.stage import segmentation_source_nodes, segmentation_split_node
from tests.stages.download.segmenting.building import blob, built, index, photograph, save

Tiny = Callable[..., SegmentationDataset]
URL = "https://example.invalid/{file}"


def listed(**splits: int) -> dict[str, Any]:
    """Return a split set with one list per split, each a file of its own."""
    lists = {split: [{"kind": "url", "file": f"{split}.txt", "urls": [URL]}] for split in splits}
    return {
        "name": "poudel",
        "source": "the paper",
        "files": {"form": "names", **lists},
        **splits,
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write six samples and return their folder."""
    for number in range(6):
        save(tmp_path / "data" / "images" / f"Im-{number}.jpeg", photograph(seed=number))
        save(tmp_path / "data" / "masks" / f"Im-{number}.png", blob())
    return tmp_path / "data"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Return a folder for lists."""
    folder = tmp_path / "lists"
    folder.mkdir()
    return folder


def test_lists_tell_who_is_where(data: Path, lists: Path, tiny: Tiny, store: Store) -> None:
    """By stems, in whatever case and suffix, found with --from; the order is that of the paths."""
    (lists / "train.txt").write_text("im-3.png\nIM-0.PNG\n\n# no name\nim-1\n")
    (lists / "test.txt").write_text("x/Im-5.jpeg\nIm-3.jpeg\nim-5.jpeg\n")
    dataset = tiny(split_sets=[listed(train=3, test=2)])
    assert splits_of(store, dataset) == ("train", "test")
    train, test = (built(store, dataset, split, lists) for split in ("train", "test"))
    assert [row["id"] for row in index(train)] == ["Im-0", "Im-1", "Im-3"]
    assert [row["id"] for row in index(test)] == ["Im-3", "Im-5"]
    assert train.attributes["split_lists"] == {
        "rows": {"train": 3, "test": 3},
        "repeated": {"test": ["im-5"]},
        "shared": {"images/Im-3.jpeg": ["train", "test"]},
        "unlisted": 2,
    }
    pinned = store.pins()["files"]
    assert set(pinned) == {
        "url/tiny-poudel/train-list-0/train.txt",
        "url/tiny-poudel/test-list-0/test.txt",
    }


def _medvlsm(path: Path, names: list[str]) -> None:
    path.write_text(json.dumps([{"img_name": name, "prompts": {}} for name in names]))


def _medclipseg(path: Path, names: list[str]) -> None:
    book = openpyxl.Workbook()
    for row in [("Image", "Description", "Ground Truth"), *((name, "x\n", name) for name in names)]:
        book.active.append(row)
    book.save(path)


@pytest.mark.parametrize(("form", "write"), [("medvlsm", _medvlsm), ("medclipseg", _medclipseg)])
def test_published_prompt_files_are_lists(
    form: str, write: Callable[[Path, list[str]], None], data: Path, tiny: Tiny, store: Store
) -> None:
    """One that lies among the dataset's own files is named by its path."""
    write(data / "test.list", ["Im-1.png", "Im-4.png"])
    chosen = listed(test=2) | {"files": {"form": form, "test": ["test.list"]}}
    assert [row["id"] for row in index(built(store, tiny(split_sets=[chosen])))] == ["Im-1", "Im-4"]


def test_patients_may_be_listed(tiny: Tiny, data: Path, store: Store) -> None:
    """A name that is no image's stands for all images of that patient."""
    (data / "test.txt").write_text("Im\n")
    reader = {
        "form": "pairs",
        "images": ["images/{patient}-{n}.*"],
        "masks": ["masks/{patient}-{n}.*"],
    }
    chosen = listed(test=6) | {"files": {"form": "names", "test": ["test.txt"]}}
    rows = index(built(store, tiny(split_sets=[chosen], reader=reader)))
    assert {row["patient_id"] for row in rows} == {"Im"}
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("Im-1\nIm-8\nIm-9\n", {}, "of 3 names .* 2 are of no image: im-8, im-9"),
        ("Im-1\nIm-1\nIm-2\n", {}, "has 2 different images in 3 rows .*; the manifest says 3"),
        (
            "Im-1\nIm-2\n",
            {"listed": {"test": 3}},
            "list has 2 rows, .* listed.test = 3",
        ),
        ("", {}, "has 0 different images"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    text: str,
    changes: dict[str, Any],
    message: str,
    data: Path,
    lists: Path,
    tiny: Tiny,
    store: Store,
) -> None:
    """With counts and the first names."""
    (lists / "test.txt").write_text(text)
    dataset = tiny(split_sets=[listed(test=3) | changes])
    with pytest.raises(DataError, match=message):
        built(store, dataset, local=lists)


def test_a_name_of_two_images_is_refused(data: Path, lists: Path, tiny: Tiny, store: Store) -> None:
    """Unless the reader says how lists name images."""
    save(data / "more" / "Im-1.jpeg", photograph())
    save(data / "masks" / "x" / "Im-1.png", blob())
    (lists / "test.txt").write_text("Im-1\n")
    reader = {"form": "pairs", "images": ["{folder}/{stem}.jpeg"], "masks": ["masks/{stem}.png"]}
    dataset = tiny(split_sets=[listed(test=1)], reader=reader)
    with pytest.raises(DataError, match="1 names .* of several images: im-1; say how"):
        built(store, dataset, local=lists)
    (lists / "test.txt").write_text("more+Im-1\n")
    dataset = tiny(split_sets=[listed(test=1)], reader=reader | {"listed_as": "{folder}+{stem}"})
    shutil.rmtree(store.root / "downloads", ignore_errors=True)
    other = Store(store.root.with_name("other"))
    assert [row["id"] for row in index(built(other, dataset, local=lists))] == ["more/Im-1"]


def test_folders_split_by_paths(data: Path, tiny: Tiny, store: Store) -> None:
    """Images are counted where the manifest does not, and else compared."""
    chosen = {"name": "official", "source": "x"}
    folders = {"train": ["images/Im-0", "images/Im-1"], "test": ["images/Im-5"]}
    dataset = tiny(split_sets=[chosen | {"folders": folders}])
    assert [row["id"] for row in index(built(store, dataset, "train"))] == ["Im-0", "Im-1"]
    assert [row["id"] for row in index(built(store, dataset))] == ["Im-5"]
    with pytest.raises(UsageError, match="unknown split of dataset tiny-official 'val'"):
        built(store, dataset, "val")
    wrong = tiny(split_sets=[chosen | {"folders": folders, "test": 2}])
    with pytest.raises(DataError, match="has 1 different images; the manifest says 2"):
        built(store, wrong)
    nowhere = tiny(split_sets=[chosen | {"folders": {"test": ["other/"]}}])
    with pytest.raises(DataError, match="no image path begins with other/"):
        built(store, nowhere)


def test_an_archive_is_unpacked_whole(data: Path, lists: Path, tiny: Tiny, store: Store) -> None:
    """And seen beside further archives of the dataset; split sets share them."""
    for name in ("images", "masks"):
        shutil.make_archive(str(lists / name), "zip", data, name)
    source, further = (
        {"kind": "url", "file": f"{n}.zip", "urls": [URL]} for n in ("images", "masks")
    )
    dataset = tiny(
        source=source,
        further_sources=[further],
        split_sets=[{"name": "all", "source": "x", "test": 6}],
    )
    artifact = built(store, dataset, local=lists)
    assert [row["status"] for row in index(artifact)] == ["ok"] * 6
    other = tiny(
        source=source,
        further_sources=[further],
        split_sets=[
            {"name": "half", "source": "x", "test": 1, "folders": {"test": ["images/Im-5"]}}
        ],
    )
    keys = [
        {role: node.recipe.key for role, node in segmentation_source_nodes(store, each).items()}
        for each in (dataset, other)
    ]
    assert keys[0] == keys[1]
    assert len(index(built(store, other))) == 1


def test_a_folder_to_place_is_asked_for(tiny: Tiny, store: Store) -> None:
    """With what the manifest says to put there."""
    source = {"kind": "folder", "instructions": "Register at example.invalid."}
    with pytest.raises(MissingInputError, match="tiny: there is no folder .*Register at"):
        segmentation_source_nodes(store, tiny(source=source))
    with pytest.raises(MissingInputError, match="Register at"):
        splits_of(store, tiny(source=source))


def test_keys_hold_what_decides_pixels(data: Path, tiny: Tiny, store: Store) -> None:
    """Nouns, titles and where counts were read do not."""

    def key(**changes: Any) -> str:
        dataset = tiny(**changes)
        sources = segmentation_source_nodes(store, dataset)
        return segmentation_split_node(store, dataset, "test", sources).recipe.key

    target = {"name": "polyp", "noun": "polyp"}
    first = key()
    assert key(title="Other", targets=[target | {"noun": "lesion"}]) == first
    assert key(split_sets=[{"name": "all", "source": "elsewhere"}]) == first
    assert key(targets=[target | {"name": "lesion"}]) != first
    reader = {"form": "pairs", "images": ["images/{stem}.*"], "masks": ["masks/{stem}.*"]}
    assert key(reader=reader | {"threshold": 100}) != first


def test_folders_that_are_gone_are_remembered(data: Path, tiny: Tiny, store: Store) -> None:
    """What was built from one is still known."""
    artifact = built(store, tiny())
    shutil.rmtree(data)
    dataset = tiny()
    assert splits_of(store, dataset) == ("test",)
    sources = segmentation_source_nodes(store, dataset)
    again = segmentation_split_node(store, dataset, "test", sources)
    assert again.recipe.key == artifact.manifest.recipe_key
