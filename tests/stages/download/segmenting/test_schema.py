"""Manifests of segmentation datasets: what they may declare, and every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from pipeline.errors import ManifestError
from pipeline.manifest import read_manifest
from stages.download.segmenting.schema import SegmentationManifest, expand_segmentation
from tests.stages.download.segmenting.building import MANIFEST, declared, tomllib

URL = {"kind": "url", "file": "tiny.zip", "urls": ["https://example.invalid/{file}"]}
LIST = {"kind": "url", "file": "test.json", "urls": ["https://example.invalid/{file}"]}


def split_set(**fields: Any) -> dict[str, Any]:
    return {"name": "poudel", "source": "the paper", **fields}


def faults(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(tomllib.loads(MANIFEST) | changes), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, SegmentationManifest)
    return str(caught.value)


def test_each_split_set_is_a_dataset() -> None:
    """`all` has the manifest's own id; the others their name after it."""
    lists = {"form": "medvlsm", "test": [LIST]}
    sets = [
        {"name": "all", "source": "none"},
        split_set(test=3, listed={"test": 4}, files=lists),
        split_set(name="official", folders={"train": ["train/"], "test": ["test/"]}),
    ]
    manifest = declared(split_sets=sets, prompt_family="breast-ultrasound", frame="patient")
    datasets = expand_segmentation(manifest)
    assert [each.id for each in datasets] == ["tiny", "tiny-poudel", "tiny-official"]
    for each in datasets:
        assert (each.family, each.title, each.task) == ("tiny", "Tiny", "segmentation")
        assert (each.prompts, each.classes) == ({}, ("polyp",))
        assert (each.prompt_family, each.frame) == ("breast-ultrasound", "patient")
    counts = [each.split_set.counts() for each in datasets]
    assert counts == [{"test": None}, {"test": 3}, {"train": None, "test": None}]


TARGET = {"name": "polyp", "noun": "polyp"}
PAIRS = {"form": "pairs", "images": ["images/{stem}.png"], "masks": ["masks/{stem}.png"]}
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"targets": [TARGET, TARGET]}, "two targets have the same name: polyp"),
    ({"targets": []}, "targets"),
    ({"targets": [TARGET | {"colours": [[0, 0, 0]]}]}, "black is the background"),
    ({"targets": [TARGET | {"colours": [[256, 0, 0]]}]}, "less than or equal to 255"),
    ({"targets": [TARGET | {"values": [1]}]}, "values of targets belong to labels"),
    ({"targets": [TARGET, {"name": "b", "noun": "b"}]}, "binary masks needs its own masks"),
    ({"reader": PAIRS | {"meaning": "colours"}}, "each target of colour masks needs its"),
    (
        {
            "reader": PAIRS | {"meaning": "labels"},
            "targets": [TARGET, {"name": "b", "noun": "b"}],
        },
        "each of several targets of label maps needs its values",
    ),
    (
        {
            "reader": PAIRS | {"meaning": "instances"},
            "targets": [TARGET, {"name": "b", "noun": "b"}],
        },
        "masks that number objects have one target",
    ),
    ({"reader": PAIRS | {"masks": ["masks/{other}.png"]}}, "shares no name in braces"),
    ({"reader": PAIRS | {"masks": []}}, "give the patterns of masks"),
    ({"reader": PAIRS | {"images": ["images/{stem.png"]}}, "brace that holds no name"),
    ({"reader": PAIRS | {"listed_as": "{kind}"}}, "no pattern of images has the name kind"),
    ({"reader": PAIRS | {"metadata": {"view": {"side": {}}}}}, "has the name side in braces"),
    ({"reader": PAIRS | {"metadata": {"viev": {"stem": {}}}}}, "metadata"),
    ({"reader": PAIRS | {"imagse": []}}, "unknown field"),
    ({"reader": {"form": "figshare-mat", "files": "{stem.mat"}}, "brace that holds no name"),
    (
        {"reader": {"form": "nifti", "images": "{a}.nii", "masks": "{b}.nii"}},
        "images and masks share no name",
    ),
    ({"source": URL}, "give the number of images of test"),
    (
        {"source": URL, "further_sources": [URL]},
        "two sources have the same file",
    ),
    ({"further_sources": [URL]}, "a folder has no further sources"),
    ({"split_sets": [split_set()]}, "give either files (published lists) or folders"),
    ({"split_sets": []}, "split_sets"),
    (
        {"split_sets": [split_set(train=3, files={"form": "names", "test": [LIST]})]},
        "each list needs its number of images",
    ),
    (
        {"split_sets": [split_set(name="all", train=3)]},
        "`all` puts every sample into test",
    ),
    (
        {"split_sets": [split_set(test=3, folders={"train": ["a/"]})]},
        "a split that is counted names its folders",
    ),
    (
        {"split_sets": [split_set(folders={"test": ["a/"]})] * 2},
        "split sets of the same name: poudel",
    ),
    ({"prompt_family": "radiology"}, "prompt_family"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_faults_are_told_by_file_and_key(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """Each in a line of its own."""
    assert message in faults(tmp_path, **changes)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Two fields that are wrong make two lines."""
    told = faults(tmp_path, channels=2, targets=[TARGET, TARGET]).splitlines()
    assert len([line for line in told if "channels" in line or "targets" in line]) == 2
