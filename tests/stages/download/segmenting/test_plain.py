"""A user's own folders without a manifest."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError, UsageError
from pipeline.store import Store
from stages.download.segmenting.plain import plain_folder
from stages.download.segmenting.schema import SegmentationDataset
from tests.stages.download.segmenting.building import blob, built, index, photograph, save


def folders(root: Path, images: list[str], masks: list[str]) -> tuple[Path, Path]:
    for name in images:
        save(root / "images" / name, photograph())
    for name in masks:
        save(root / "masks" / name, blob())
    return root / "images", root / "masks"


def rows(store: Store, dataset: SegmentationDataset) -> dict[str, dict[str, Any]]:
    return {line["id"]: line for line in index(built(store, dataset))}


@pytest.mark.parametrize(
    "ending",
    ["", "_mask", "_Mask", "-mask", " mask", " Mask", "_segmentation", "_Segmentation", "_gt"],
)
def test_masks_are_found_by_their_names(ending: str, tmp_path: Path, store: Store) -> None:
    """By the stem, with a usual ending and another suffix."""
    images, masks = folders(tmp_path / "d", ["a 1.jpg", "b.JPG"], [f"a 1{ending}.png"])
    save(masks / f"b{ending}.TIF", blob())
    found = rows(store, plain_folder(images, masks, noun="polyp"))
    assert {name: (row["status"], row["mask_filepaths"]) for name, row in found.items()} == {
        "a 1": ("ok", [f"a 1{ending}.png"]),
        "b": ("ok", [f"b{ending}.TIF"]),
    }


def test_images_and_masks_come_back(tmp_path: Path, store: Store) -> None:
    """In their own sizes, aligned with the index; the layer has the noun's name."""
    images, masks = folders(tmp_path / "d", [], [])
    for number, (height, width) in enumerate([(12, 16), (20, 30), (9, 9)]):
        save(images / f"{number}.png", photograph(height, width, number))
        save(masks / f"{number}.png", blob(height, width))
    save(images / "3.png", photograph(12, 16)[..., 0])
    save(masks / "3.png", np.zeros((12, 16), np.uint8))
    dataset = plain_folder(images, masks, noun="foot ulcer", plural="foot ulcers")
    assert (dataset.typical_size, dataset.channels, dataset.id) == ((12, 16), 3, "d")
    artifact = built(store, dataset)
    pixels = list(artifact.mixed("images"))
    assert [each.shape for each in pixels] == [(12, 16, 3), (20, 30, 3), (9, 9, 3), (12, 16, 1)]
    for number in range(3):
        height, width = pixels[number].shape[:2]
        assert np.array_equal(pixels[number], photograph(height, width, number))
        assert np.array_equal(artifact.mixed("masks")[number][..., 0], blob(height, width))
    assert not artifact.mixed("masks")[3].any()
    for name in ("mask_sources", "instances"):
        assert [each.shape for each in artifact.mixed(name)] == [(0, 0, 0)] * 4
    assert artifact.attributes["targets"] == [
        {"name": "foot-ulcer", "noun": "foot ulcer", "plural": "foot ulcers"}
    ]


def test_nested_folders_agree_or_names_do(tmp_path: Path, store: Store) -> None:
    """The same path below both folders, or else the same name anywhere."""
    images, masks = folders(tmp_path / "d", ["x/1.png", "y/1.png"], ["x/1.png", "y/1_mask.png"])
    found = rows(store, plain_folder(images, masks, noun="polyp"))
    assert {name: row["mask_filepaths"] for name, row in found.items()} == {
        "x/1": ["x/1.png"],
        "y/1": ["y/1_mask.png"],
    }
    images, masks = folders(tmp_path / "flat", ["x/1.png", "y/2.png"], ["1.png", "2.png"])
    found = rows(store, plain_folder(images, masks, noun="polyp"))
    assert [row["status"] for row in found.values()] == ["ok", "ok"]


def test_masks_may_lie_within_the_images(tmp_path: Path, store: Store) -> None:
    """A mask is not an image too, whichever folder holds the other."""
    root = tmp_path / "d"
    save(root / "a.png", photograph())
    save(root / "masks" / "a.png", blob())
    assert set(rows(store, plain_folder(root, root / "masks", noun="polyp"))) == {"a"}


def test_one_folder_for_both(tmp_path: Path, store: Store) -> None:
    """What has an ending is a mask; with the same stem and another suffix patterns are needed."""
    root = tmp_path / "d"
    save(root / "a.png", photograph())
    save(root / "a_mask.png", blob())
    assert set(rows(store, plain_folder(root, root, noun="polyp"))) == {"a"}
    other = tmp_path / "other"
    save(other / "a.jpg", photograph())
    save(other / "a.png", blob())
    with pytest.raises(DataError, match="no mask belongs to any image"):
        plain_folder(other, other, noun="polyp")
    dataset = plain_folder(
        other, other, noun="polyp", image_pattern="{stem}.jpg", mask_patterns=["{stem}.png"]
    )
    assert rows(store, dataset)["a"]["status"] == "ok"


def test_names_in_other_alphabets_and_forms(tmp_path: Path, store: Store) -> None:
    """The image's name may be decomposed and the mask's composed."""
    stem = "Läsion ñ (1)"
    loose = unicodedata.normalize("NFD", stem)
    images, masks = folders(tmp_path / "d", [f"{loose}.png", "病変.png"], [])
    save(masks / f"{stem} mask.png", blob())
    save(masks / "病変.png", blob())
    found = rows(store, plain_folder(images, masks, noun="lesion"))
    assert {name: row["status"] for name, row in found.items()} == {stem: "ok", "病変": "ok"}


def _bad(root: Path) -> tuple[Path, Path]:
    """Write one image of each kind of bad input beside a good one."""
    names = ["good", "other-size", "empty", "full", "rgba", "two", "wide", "broken", "none"]
    images, masks = folders(root, [f"{name}.png" for name in names], ["good.png"])
    save(masks / "other-size.png", blob(16, 12))
    save(masks / "empty.png", np.zeros((12, 16), np.uint8))
    save(masks / "full.png", np.full((12, 16), 255, np.uint8))
    save(masks / "rgba.png", np.dstack([blob(), blob(), blob(), np.full((12, 16), 255, "u1")]))
    save(masks / "two.png", blob())
    save(masks / "two_mask.png", blob())
    save(masks / "wide.png", np.arange(12 * 16, dtype=np.uint16).reshape(12, 16))
    (masks / "broken.png").write_bytes(b"no picture")
    save(masks / "stray.png", blob())
    (images / "torn.png").write_bytes((images / "good.png").read_bytes()[:40])
    save(masks / "torn.png", blob())
    Image.fromarray(np.zeros((12, 16), np.uint16)).save(images / "deep.png")
    save(masks / "deep.png", blob())
    return images, masks


def test_bad_input_becomes_a_row(tmp_path: Path, store: Store) -> None:
    """With a status and an error that names the file below its folder; nothing is left out."""
    images, masks = _bad(tmp_path / "d")
    artifact = built(store, plain_folder(images, masks, noun="polyp"))
    found = {line["id"]: line for line in index(artifact)}
    told = {name: (row["status"], row["error"]) for name, row in found.items()}
    fine = {"good", "empty", "full", "rgba", "deep"}
    assert {name for name, (status, _) in told.items() if status == "ok"} == fine
    assert all(told[name][1] == "" for name in fine)
    assert told["other-size"] == (
        "failed",
        "other-size.png: is 12×16 pixels, its image 16×12 (width × height)",
    )
    assert told["none"] == ("no-mask", "none.png: there is no mask file")
    assert told["two"][1].startswith("two.png: 2 masks (two.png, two_mask.png); say how")
    assert told["wide"][1].startswith("wide.png: more than 8 bits and 192 different values")
    assert told["broken"][1].startswith("broken.png: cannot be decoded")
    assert told["torn"][1].startswith("torn.png: cannot be decoded")
    assert not [error for _, error in told.values() if str(tmp_path) in error]
    findings = {name: found[name]["mask_findings"] for name in fine}
    unclean = {"full": ["full"], "rgba": ["alpha"], "deep": ["image-stretched"]}
    assert findings == {"good": [""], "empty": [""]} | unclean
    assert artifact.attributes["masks_without_image"] == ["stray.png"]
    shapes = {
        line["id"]: [artifact.mixed(name)[row].shape for name in ("images", "masks")]
        for row, line in enumerate(index(artifact))
    }
    for name, (status, _) in told.items():
        whole = [(12, 16, 1 if name == "deep" else 3), (12, 16, 1)]
        assert shapes[name] == (whole if status == "ok" else [(0, 0, 0)] * 2)


def test_two_masks_may_be_merged(tmp_path: Path, store: Store) -> None:
    """If asked for; the finding says so."""
    images, masks = folders(tmp_path / "d", ["a.png"], [])
    save(masks / "a_mask.png", blob())
    save(masks / "a_mask_1.png", blob(left=10))
    patterns = ["{stem}_mask.png", "{stem}_mask_*.png"]
    dataset = plain_folder(images, masks, noun="tumor", mask_patterns=patterns, merge="union")
    artifact = built(store, dataset)
    assert np.array_equal(artifact.mixed("masks")[0][..., 0], blob() | blob(left=10))
    assert index(artifact)[0]["mask_findings"] == ["merged"]


def test_nothing_that_pairs_is_an_error(tmp_path: Path) -> None:
    """It shows names of both folders and what to give."""
    images, masks = folders(tmp_path / "d", ["a.png"], ["b-1.png"])
    with pytest.raises(DataError, match=r"has a\.png, .*has b-1\.png\. Give patterns") as caught:
        plain_folder(images, masks, noun="polyp")
    assert "{stem}" in str(caught.value)
    with pytest.raises(DataError, match="there is no such folder"):
        plain_folder(images, tmp_path / "nowhere", noun="polyp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"meaning": "labels"}, "labels need a manifest"),
        ({"meaning": "instance"}, "did you mean 'instances'"),
        ({"family": "photo"}, "unknown family 'photo'"),
        ({"frame": "patients"}, "did you mean 'patient'"),
        ({"merge": "sum"}, "known: union"),
        ({"name": "My Set"}, "must begin with a small letter"),
        ({"image_pattern": "{stem"}, "holds no name"),
        ({"image_pattern": "{a}.png", "mask_patterns": ["{b}.png"]}, "shares no name"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    """With the nearest known word."""
    images, masks = folders(tmp_path / "d", ["a.png"], ["a.png"])
    with pytest.raises(UsageError, match=message):
        plain_folder(images, masks, noun="polyp", **options)


def test_a_changed_mask_changes_the_key(tmp_path: Path, store: Store) -> None:
    """Both folders are inventoried; what is not seen of them changes nothing."""
    images, masks = folders(tmp_path / "d", ["a.png"], ["a.png"])
    first = built(store, plain_folder(images, masks, noun="polyp")).manifest.recipe_key
    save(masks / ".hidden.png", blob())
    assert built(store, plain_folder(images, masks, noun="polyp")).manifest.recipe_key == first
    save(masks / "a.png", blob(left=6))
    again = built(store, plain_folder(images, masks, noun="polyp"))
    assert again.manifest.recipe_key != first
    assert np.array_equal(again.mixed("masks")[0][..., 0], blob(left=6))
