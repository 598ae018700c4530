"""Reports beside images: whose they are, and what of their text is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest

from pipeline.manifest import read_manifest
from pipeline.store import Store
from stages.download.segmenting.schema import SegmentationManifest, expand_segmentation
from tests.stages.download.segmenting.building import (
    REPOSITORY,
    blob,
    built,
    dataset_in,
    declared,
    index,
    photograph,
    save,
)

READER = {
    "form": "pairs",
    "images": ["files/{group}/{patient}/{study}/{stem}.*"],
    "masks": ["masks/{stem}.*"],
    "report": "files/{group}/{patient}/{study}.txt",
}
STUDY = "files/p10/p10000032/s50414267"


def place(root: Path, study: str, stem: str, report: bytes | None = None) -> None:
    """Write an image of a study with its mask, and the report of the study."""
    save(root / study / f"{stem}.jpg", photograph())
    save(root / "masks" / f"{stem}.png", blob())
    if report is not None:
        (root / f"{study}.txt").write_bytes(report)


def rows(store: Store, root: Path, **reader: Any) -> dict[str, dict[str, Any]]:
    """Return the built index by sample."""
    return {row["id"]: row for row in index(built(store, dataset_in(root, reader=READER | reader)))}


def test_images_of_a_study_share_its_report(store: Store, tmp_path: Path) -> None:
    """Each has the text of its own study, in one line, and its patient; reports may be spare."""
    root = tmp_path / "data"
    place(root, STUDY, "a", b"  FINAL REPORT\r\n\r\n FINDINGS:\tLungs  are clear.\n")
    place(root, STUDY, "b")
    place(root, "files/p10/p10000032/s2", "c", b"No change.")
    (root / "files/p10/p10000032/s3.txt").write_text("of no image")
    found = rows(store, root)
    assert {name: row["metadata"] for name, row in found.items()} == {
        "a": {"report": "FINAL REPORT FINDINGS: Lungs are clear."},
        "b": {"report": "FINAL REPORT FINDINGS: Lungs are clear."},
        "c": {"report": "No change."},
    }
    assert {row["patient_id"] for row in found.values()} == {"p10000032"}


def test_the_same_study_of_another_patient_is_another(store: Store, tmp_path: Path) -> None:
    """All names of the pattern must agree, not the last alone."""
    root = tmp_path / "data"
    place(root, "files/p10/p1/s1", "a", b"of the first")
    place(root, "files/p10/p2/s1", "b")
    found = rows(store, root)
    assert found["a"]["metadata"] == {"report": "of the first"}
    assert found["b"]["metadata"] == {}


@pytest.mark.parametrize("content", [None, b"", b" \r\n\t"])
def test_no_report_is_unknown(store: Store, tmp_path: Path, content: bytes | None) -> None:
    """Without a file, or with an empty one, the image is whole and its report unknown."""
    root = tmp_path / "data"
    place(root, STUDY, "a", content)
    (row,) = rows(store, root).values()
    assert (row["status"], row["metadata"]) == ("ok", {})


@pytest.mark.parametrize(
    "content",
    ["Größe 3 µm".encode(), "Größe 3 µm".encode("latin-1"), "Größe 3 µm".encode("utf-8-sig")],
)
def test_letters_are_kept(store: Store, tmp_path: Path, content: bytes) -> None:
    """UTF-8, with or without a byte order mark, else Latin-1."""
    root = tmp_path / "data"
    place(root, STUDY, "a", content)
    (row,) = rows(store, root).values()
    assert row["metadata"] == {"report": "Größe 3 µm"}


def test_what_is_no_text_fails(store: Store, tmp_path: Path) -> None:
    """The row says so, without a path of this machine; the other is kept."""
    root = tmp_path / "data"
    place(root, STUDY, "a", "UTF-16".encode("utf-16"))
    place(root, "files/p10/p10000032/s2", "b", b"Clear.")
    found = rows(store, root)
    assert (found["a"]["status"], found["b"]["status"]) == ("failed", "ok")
    assert found["a"]["error"] == f"{STUDY}.txt: is no text in UTF-8 or Latin-1"


def test_two_reports_of_an_image_fail(store: Store, tmp_path: Path) -> None:
    """Which one is meant is not guessed."""
    root = tmp_path / "data"
    place(root, STUDY, "a", b"one")
    (root / "reports" / "old").mkdir(parents=True)
    (root / "reports" / "old" / "s50414267.txt").write_text("two")
    (row,) = rows(store, root, report="**/{study}.txt").values()
    assert row["status"] == "failed"
    assert "2 reports of one image" in row["error"]


def test_a_changed_report_is_read_again(store: Store, tmp_path: Path) -> None:
    """Texts are part of what a split is made of."""
    root = tmp_path / "data"
    for text in ("one", "other"):
        place(root, STUDY, "a", text.encode())
        assert rows(store, root)["a"]["metadata"] == {"report": text}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{institute}/{study}.txt", "no pattern of images has all of institute, study"),
        ("report.txt", "no name in braces"),
        ("{study}.*", "name the suffix of text files"),
        ("{study.txt", "a brace that holds no name"),
        ("../{study}.txt", "not a path below a root"),
    ],
)
def test_wrong_patterns_are_refused(pattern: str, message: str) -> None:
    """A manifest whose reports can belong to no image is wrong before any file is read."""
    with pytest.raises(pydantic.ValidationError, match=message):
        declared(reader=READER | {"report": pattern})


def test_the_lungs_of_mimic_cxr_are_placed_as_published(store: Store, tmp_path: Path) -> None:
    """X-rays and reports at PhysioNet's paths are found by the shipped manifest."""
    path = REPOSITORY / "manifests" / "datasets" / "mimic-cxr-lungs.toml"
    manifest = read_manifest(path, SegmentationManifest)
    place(tmp_path, STUDY, "02aa804e-bde0afdd", b"FINDINGS: Clear.\n")
    (dataset,) = expand_segmentation(manifest)
    assert dataset.prompt_family == "chest-xray-report"
    row = rows(store, tmp_path, **json.loads(dataset.reader.model_dump_json()))["02aa804e-bde0afdd"]
    assert row["metadata"] == {"report": "FINDINGS: Clear."}
    assert row["patient_id"] == "p10000032"
