"""`build corruptions --preview`: what it shows is what the sets hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pipeline as library
from stages.corrupt.preview import LABEL, TOP
from tests.end_to_end.options import at


def tile(path: Path, pitch: int, row: int, column: int) -> np.ndarray:
    """Return the 28x28 image of a tile, enlarged eight times in the file."""
    drawn = np.asarray(Image.open(path))
    y, x = TOP + row * pitch, LABEL + column * pitch
    return drawn[y : y + 224, x : x + 224][::8, ::8]


def test_tiles_equal_the_built_sets(pipeline: Any, read_only_tiny: Any, tmp_path: Path) -> None:
    """Every tile of both sheets has the pixels of the first image of its set."""
    store, out = read_only_tiny.folder / "store", tmp_path / "sheets"
    command = ("build", "corruptions", "--preview", "--datasets", "tiny", "--out", out, "--json")
    answer = pipeline(*command, *at(read_only_tiny, store)).json
    assert answer["schema"] == "medshards/preview/1"
    by_dataset, by_severity = answer["files"]
    reader = library.open_store(store)
    names = [name.replace(" ", "_") for name in by_dataset["columns"][1:]]
    assert len(names) == 7
    assert by_severity["columns"] == ["clean", *(f"severity {n}" for n in range(1, 6))]
    clean = reader["tiny/test"].images[0].repeat(3, axis=2)
    for row, name in enumerate(names):
        assert by_severity["rows"][row] == name.replace("_", " ")
        assert np.array_equal(tile(Path(by_severity["path"]), 232, row, 0), clean)
        for severity in range(1, 6):
            built = reader[f"medimeta-c/tiny/test/{name}/{severity}"].images[0]
            assert np.array_equal(tile(Path(by_severity["path"]), 232, row, severity), built)
            if severity == answer["severity"]:
                assert np.array_equal(tile(Path(by_dataset["path"]), 232, 0, row + 1), built)
    assert answer["severity"] == 3


def test_only_clean_splits_are_built(pipeline: Any, tiny: Any, store: Path, whole: Any) -> None:
    """A preview of a new store builds the splits it shows, and no set."""
    files = {"medimeta-c-by-dataset.png", "medimeta-c-tiny-test-by-severity.png"}
    command = ("build", "corruptions", "--datasets", "tiny", "--from", tiny.data, "--preview")
    planned = pipeline(*command, *at(tiny, store), "--dry-run", "--json").json
    assert {unit["stage"] for unit in planned["units"]} == {"sources", "datasets"}
    assert not store.exists()
    answer = pipeline(*command, *at(tiny, store))
    assert set(answer.stdout.split()) == files
    assert {path.name for path in tiny.folder.glob("*.png")} == files
    assert not (store / "corruptions").exists()
    assert [path.name for path in (store / "datasets" / "tiny").iterdir()] == ["test"]
    whole(store)


def test_a_selector_chooses_tiles(pipeline: Any, read_only_tiny: Any, tmp_path: Path) -> None:
    """`--only` leaves its corruptions and severities; the usual severity gives way to them."""
    command = ("build", "corruptions", "--preview", "--only", "medimeta-c/tiny/test/*_blur/5")
    where = (*at(read_only_tiny), "--out", tmp_path / "s")
    answer = pipeline(*command, *where, "--json").json
    assert answer["severity"] == 5
    assert answer["files"][0]["columns"] == ["clean", "motion blur", "zoom blur"]
    assert answer["files"][1]["columns"] == ["clean", "severity 5"]
    refused = pipeline(*command, *where, "--severity", "2", rc=None)
    refused.refused(2, "no selected set has severity 2", "5")


@pytest.mark.parametrize(
    ("arguments", "rc", "told"),
    [
        (("datasets", "--preview"), 2, "--preview shows corruptions"),
        (("corruptions", "--severity", "3"), 2, "--severity and --out are for --preview"),
        (("corruptions", "--out", "x"), 2, "--severity and --out are for --preview"),
        (("corruptions", "--preview", "--only", "medimeta-c/tiny/test/blur"), 2, "test/blur"),
        (("corruptions", "--preview", "--suite", "medimeta"), 2, "unknown suite"),
        (("corruptions", "--preview"), 4, "Ask for it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_shown_is_refused(
    pipeline: Any, tiny: Any, store: Path, arguments: tuple[str, ...], rc: int, told: str
) -> None:
    """A bad request exits 2, a missing source 4; no picture is written."""
    named = () if "--only" in arguments else ("--datasets", "tiny")
    answer = pipeline("build", *arguments, *named, *at(tiny, store), rc=None)
    answer.refused(rc, told)
    assert not list(tiny.folder.glob("**/*.png"))


def test_a_folder_that_cannot_be_written_is_told(
    pipeline: Any, read_only_tiny: Any, tmp_path: Path
) -> None:
    """A file where the folder should be exits 1 with one line."""
    (tmp_path / "taken").touch()
    command = ("build", "corruptions", "--preview", "--datasets", "tiny", "--out", "taken")
    answer = pipeline(*command, *at(read_only_tiny), rc=None)
    answer.refused(1, "cannot be written")
