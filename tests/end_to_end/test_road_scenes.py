"""Road scenes, drawn for the tests, from a folder of pictures to zero-shot results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.store import Store
from stages.corrupt.rendering import SUITES
from tests.end_to_end.tiny_clip import write_tiny_clip
from tests.road_scenes import write_scenes

SHIPPED = Path(__file__).parents[2] / "manifests"
SUITE = "medimeta-c"
SETS = 5 * len(SUITES[SUITE].corruptions)
EVAL = ("--encoders", "tiny-clip", "--baseline", "tiny-clip", "--json")
FULL = ("--suite", SUITE, "--only", f"{SUITE}/road-scenes/test/contrast/3")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the encoder, in which scenes and manifests are put."""
    write_tiny_clip(tmp_path)
    return tmp_path


def shrunk(place: Path, size: str) -> None:
    """Copy the shipped manifests as a user would, under another id and with another size."""
    for kind, changes in (
        ("datasets", {"size = [1024, 2048]": f"size = {size}", "instructions": "path"}),
        ("runs", {"imagenet-c": SUITE}),
    ):
        text = (SHIPPED / kind / "road-scenes.toml").read_text()
        for old, new in (changes | {'"road-scenes"': '"small-roads"'}).items():
            assert old in text
            text = text.replace(old, new)
        if kind == "datasets":
            head, _, tail = text.partition('path = """')
            text = head + 'path = "../../scenes"' + tail.partition('"""')[2]
        (place / "my" / kind).mkdir(exist_ok=True)
        (place / "my" / kind / "roads.toml").write_text(text)


def sealed(store: Path) -> dict[str, Artifact]:
    """Return every sealed artifact by stage and name."""
    return {one.label: Artifact(one) for one in Store.open(store).manifests()}


def pixels(artifact: Artifact) -> NDArray[np.uint8]:
    """Return all images of an artifact."""
    images: NDArray[np.uint8] = artifact.array("images")[:]
    return images


def test_small_scenes_go_through_all_sets_to_zero_shot(pipeline: Any, place: Path) -> None:
    """A user's own H × W manifest: every set has its shape, every template set its scores."""
    shrunk(place, "[40, 80]")
    write_scenes(place / "scenes", (80, 160), each=2)
    at = ("--store", place / "store", "--manifests", place / "my")
    pipeline("build", "corruptions", "--run", "small-roads", *at)
    pipeline("embed", "--model", "tiny-clip", "--run", "small-roads", "--weights", "weights", *at)
    document = pipeline("eval", "--run", "small-roads", *EVAL, *at).json
    results = document["results"]
    assert {row["template"] for row in results} == {"photo", "driving", "ensemble"}
    assert {(row["protocol"], row["prompts"]) for row in results} == {("zero-shot", "named")}
    assert {row["n"] for row in results} == {12}
    assert len({(row["corruption"], row["severity"]) for row in results}) == 1 + SETS
    found = sealed(place / "store")
    clean = pixels(found["datasets/small-roads/test"])
    assert clean.shape == (12, 40, 80, 3)
    sets = pipeline("list", "sets", *at, "--json").json["sets"]
    assert len(sets) == SETS
    for row in sets:
        corrupted = pixels(found[f"corruptions/{row['name']}"])
        assert corrupted.shape == clean.shape
        assert (corrupted != clean).any(axis=(1, 2, 3)).all()
    (declared,) = [
        row
        for row in pipeline("list", "datasets", *at, "--json").json["datasets"]
        if row["id"] == "small-roads"
    ]
    assert declared["size"] == [40, 80]


def test_the_shipped_run_works_at_full_size(pipeline: Any, place: Path) -> None:
    """1024 × 2048 scenes in a folder named once with --from; later commands need it no more."""
    written = write_scenes(place / "mine", (1024, 2048), each=1)
    at = ("--run", "road-scenes", *FULL, "--store", place / "store", "--manifests", place / "my")
    pipeline("build", "corruptions", *at, "--from", place / "mine")
    (place / "mine").rename(place / "gone")
    pipeline("embed", "--model", "tiny-clip", "--weights", "weights", *at)
    results = pipeline("eval", *EVAL, *at).json["results"]
    assert {row["n"] for row in results} == {6}
    assert {(row["corruption"], row["severity"]) for row in results} == {
        ("clean", 0),
        ("contrast", 3),
    }
    clean = sealed(place / "store")["datasets/road-scenes/test"]
    rows = clean.index(["id", "label"]).to_pylist()
    assert len(rows) == 6
    for row, image in zip(rows, pixels(clean), strict=True):
        label, drawn = written[row["id"]]
        assert row["label"] == label
        assert np.array_equal(image, drawn)


@pytest.mark.parametrize("command", ["build datasets", "build corruptions", "build all"])
def test_a_folder_that_is_not_placed_is_asked_for(
    pipeline: Any, tmp_path: Path, command: str
) -> None:
    """Exit 4 with what to put where; nothing is built, and no other dataset is disturbed."""
    at = ("--run", "road-scenes", "--suite", SUITE, "--store", tmp_path / "store")
    wanted = tmp_path / "store" / "downloads" / "folder" / "road-scenes"
    pipeline(*command.split(), *at, rc=None).refused(
        4, f"no folder {wanted}", "test/city-street", "Place it there, or name it with --from"
    )
    elsewhere = tmp_path / "elsewhere"
    answer = pipeline(*command.split(), *at, "--from", elsewhere, rc=None)
    answer.refused(4, f"no folder {elsewhere}")
    rows = pipeline("list", "datasets", "--store", tmp_path / "store", "--json").json["datasets"]
    assert "road-scenes" in {row["id"] for row in rows}


@pytest.mark.parametrize("holder", [True, False])
def test_a_folder_is_found_where_the_message_says(
    pipeline: Any, tmp_path: Path, holder: bool
) -> None:
    """Below the store's downloads, or in the folder of --from under the dataset's own id."""
    store = tmp_path / "store"
    folder = tmp_path / "all" if holder else store / "downloads" / "folder"
    write_scenes(folder / "road-scenes", (64, 128), each=1)
    named = ("--from", folder) if holder else ()
    at = ("--datasets", "road-scenes", "--store", store)
    pipeline("build", "datasets", *at, *named)
    assert pixels(sealed(store)["datasets/road-scenes/test"]).shape == (6, 1024, 2048, 3)
