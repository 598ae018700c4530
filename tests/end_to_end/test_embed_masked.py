"""Embeddings of images of mixed size, clean and corrupted, and of every prompt about them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.store import Store
from tests.end_to_end.blobs import MANIFEST, draw
from tests.end_to_end.tiny_clip import write_tiny_clip

SET = "imagenet-c/blobs/test/contrast/3"
SHAPES = {"one": (90, 120, 3), "tall": (150, 120, 3), "tiny": (16, 120, 3)}


@pytest.fixture(scope="session")
def masked(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], Any],
) -> Path:
    """A folder with a sealed dataset of four images, one of them torn, one set, and prompts."""

    def build(folder: Path) -> None:
        photographs = folder / "photographs"
        for name, (height, _, _) in SHAPES.items():
            draw(photographs, name, (5, 5, 8), size=height)
        draw(photographs, "torn", (5, 5, 8))
        (photographs / "images" / "torn.png").write_bytes(b"not a picture")
        write_tiny_clip(folder)
        (folder / "my" / "datasets").mkdir()
        (folder / "my" / "datasets" / "blobs.toml").write_text(MANIFEST)
        run, at = command_line(folder), ("--store", "store", "--manifests", "my")
        run("build", "prompts", "--datasets", "blobs", *at)
        run("build", "corruptions", "--suite", "imagenet-c", "--only", SET, *at)

    return once("masked", build)


@pytest.fixture
def place(masked: Path, tmp_path: Path) -> Path:
    """This test's own copy."""
    shutil.copytree(masked, tmp_path, dirs_exist_ok=True)
    return tmp_path


def at(encoder: str) -> tuple[str, ...]:
    """Return the options of an encoder in the tests' folder."""
    weights = ("--weights", "weights") if encoder == "tiny-clip" else ()
    return ("--model", encoder, *weights, "--store", "store", "--manifests", "my")


def sealed(place: Path, name: str) -> Artifact:
    """Return a sealed artifact by stage and name."""
    (found,) = [one for one in Store.open(place / "store").manifests() if one.label == name]
    return Artifact(found)


def rows(artifact: Artifact) -> tuple[list[dict[str, Any]], NDArray[Any]]:
    """Return index and embeddings of an artifact."""
    return artifact.index().to_pylist(), artifact.array("embeddings")[:]


@pytest.mark.parametrize("encoder", ["tiny-clip", "texture"])
def test_clean_and_corrupted_images_of_any_size(pipeline: Any, place: Path, encoder: str) -> None:
    """One row per image in index order; what has none is NaN with its reason, and no other is."""
    pipeline("embed", *at(encoder), "--datasets", "blobs")
    for name, reasons in (
        ("blobs/test", {"torn": "cannot be decoded"}),
        (SET, {"tiny": "16", "torn": "cannot be decoded"}),
    ):
        index, embeddings = rows(sealed(place, f"embeddings/{encoder}/{name}"))
        assert [row["id"] for row in index] == sorted([*SHAPES, "torn"])
        failed = {row["id"]: row["error"] for row in index if row["status"] != "ok"}
        assert failed.keys() == reasons.keys()
        assert all(reason in failed[sample] for sample, reason in reasons.items())
        missing = np.array([row["id"] in failed for row in index])
        assert np.isnan(embeddings[missing]).all()
        assert np.isfinite(embeddings[~missing]).all()
    again = pipeline("embed", *at(encoder), "--datasets", "blobs")
    assert "nothing to do" in again.stderr
    assert pipeline("verify", "--store", "store").rc == 0


def test_embeddings_are_those_of_the_images(pipeline: Any, place: Path) -> None:
    """Each row is what the encoder makes of that image alone, without naming any dataset."""
    from stages.embed.loaders import loader
    from stages.embed.schema import EncoderManifest

    pipeline("embed", *at("pixels"))
    manifest = EncoderManifest.model_construct(
        id="pixels", family="pixels", width=257, input_size=16
    )
    encoder = loader("pixels").load(manifest, None)
    for stage, name in (("datasets", "blobs/test"), ("corruptions", SET)):
        images = sealed(place, f"{stage}/{name}").mixed("images")
        index, embeddings = rows(sealed(place, f"embeddings/pixels/{name}"))
        for row, (sample, embedding) in enumerate(zip(index, embeddings, strict=True)):
            if sample["status"] == "ok":
                assert images[row].shape == SHAPES[sample["id"]]
                np.testing.assert_array_equal(
                    encoder.encode_images(images[row][None])[0], embedding
                )


def test_every_prompt_row_is_embedded(pipeline: Any, place: Path) -> None:
    """Rows, order and texts are those of the prompts; P0 is embedded, a failed target is NaN."""
    pipeline("embed", *at("tiny-clip"), "--prompts", "fixed/blobs")
    prompts = sealed(place, "prompts/fixed/blobs/test").index().to_pylist()
    artifact = sealed(place, "prompt-embeddings/tiny-clip/fixed/blobs/test")
    index, embeddings = rows(artifact)
    columns = ("sample", "target", "prompt", "variant", "text", "change", "status")
    assert [[row[c] for c in columns] for row in index] == [
        [row[c] for c in columns] for row in prompts
    ]
    assert {row["prompt"] for row in index} >= {"p0", "p6", None}
    assert "falsified" in {row["change"] for row in index}
    length = artifact.attributes["context_length"]
    by_text: dict[str | None, list[int]] = {}
    for row, one in enumerate(index):
        by_text.setdefault(one["text"], []).append(row)
        if one["text"] is None:
            assert (one["status"], one["tokens"]) == ("failed", None)
            assert np.isnan(embeddings[row]).all()
        else:
            assert one["truncated"] == (one["tokens"] > length)
    assert index[by_text[""][0]]["tokens"] == 2
    assert {row["truncated"] for row in index if row["text"] is not None} == {True, False}
    for same in by_text.values():
        assert all(np.array_equal(embeddings[same[0]], embeddings[row], True) for row in same)
    texts = [text for text in by_text if text is not None]
    assert len(np.unique(embeddings[[by_text[text][0] for text in texts]], axis=0)) > 3
    again = pipeline("embed", *at("tiny-clip"), "--prompts", "fixed/blobs", "--json")
    assert again.json["units"] == 0
    assert not (place / "store" / "embeddings").exists()
    assert pipeline("verify", "--store", "store").rc == 0


def test_a_dry_run_lists_prompts_and_images(pipeline: Any, place: Path) -> None:
    """What is selected with the prompts is planned with them, and nothing is loaded or written."""
    asks = ("embed", *at("tiny-clip"), "--prompts", "*", "--datasets", "blobs", "--dry-run")
    units = pipeline(*asks, "--json").json["units"]
    assert {unit["name"] for unit in units} == {
        f"tiny-clip/{name}" for name in ("fixed/blobs/test", "blobs/test", SET)
    }
    assert "torch" not in pipeline.modules(*asks)


def test_prompts_that_cannot_be_embedded(pipeline: Any, place: Path) -> None:
    """An encoder without text and prompts that are not built are refused with what to do."""
    refused = pipeline("embed", *at("texture"), "--prompts", "fixed/blobs/test", rc=None)
    refused.refused(2, "texture is a vision-only encoder", "embeds no text")
    refused = pipeline("embed", *at("tiny-clip"), "--prompts", "poudel/blobs/test", rc=None)
    refused.refused(4, "fixed/blobs/test", "pipeline build prompts --rules poudel --datasets blobs")
