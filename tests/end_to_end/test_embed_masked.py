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


def test_rows_are_made_again(pipeline: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and moved masks, embeddings and prompt rows, those without content too, are equal."""
    moving = "imagenet-c/blobs/test/elastic_transform/3"
    known = ("--store", "store", "--manifests", "my")
    pipeline("build", "corruptions", "--suite", "imagenet-c", "--only", moving, *known)
    pipeline("embed", *at("tiny-clip"), "--datasets", "blobs", "--prompts", "*")
    asks = ("verify", *known, "--recompute", 1000, "--json")
    found = pipeline(*asks, "--weights", "weights").json["recomputed"]
    # Two sets and their embeddings, those of the clean split, and the prompts.
    assert (found["artifacts"], found["not_recomputed"]) == (6, [])
    of_prompts = len(sealed(place, "prompt-embeddings/tiny-clip/fixed/blobs/test"))
    assert found["rows"] == 2 * 4 + 3 * 4 + of_prompts

    from stages.corrupt import masks

    artifact = sealed(place, f"corruptions/{moving}")
    assert "masks" in artifact.manifest.mixed
    shutil.rmtree(artifact.manifest.folder)
    monkeypatch.setattr(masks, "FOREGROUND", 250)
    build_here(place, moving)
    (problem, *_) = pipeline(*asks, f"corruptions/{moving}", rc=5).json["problems"]
    assert (problem["kind"], problem["array"]) == ("recompute", "masks")
    assert (problem["difference"], problem["tolerance"]) == (255, 0)


def build_here(place: Path, name: str) -> None:
    """Build a set in this process."""
    from pipeline.cli.study import Study
    from pipeline.plan import make_plan
    from pipeline.runner import Manner, run

    study = Study(Store.open(place / "store"), place / "my")
    (node,) = [n for n in study.sets("imagenet-c", "blobs", "test") if n.recipe.name == name]
    run(study.store, make_plan(study.store, [node]), Manner(1)).raise_failures()


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


def test_features_of_blocks(pipeline: Any, place: Path) -> None:
    """Blocks of images and prompts are stored as the model has them; a failed row is NaN."""
    import open_clip
    import torch
    from PIL import Image as Pictures

    asks = ("embed", *at("tiny-clip"), "--features", "patch", "--datasets", "blobs")
    asks = (*asks, "--prompts", "fixed/blobs", "--blocks", "-1,0,1", "--json")
    assert pipeline(*asks).json["artifacts"] == 3
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{place / 'weights'}")
    model.eval()
    torch.set_num_threads(1)
    artifact = sealed(place, "patch-features/tiny-clip/blobs/test")
    found, said = artifact.array("patches")[:], artifact.attributes
    assert (said["blocks"], said["blocks_of_tower"], said["grid"]) == ([0, 1], 2, [4, 4])
    assert (said["prefix_tokens"], said["final_layer_norm"]) == (["class"], False)
    assert artifact.manifest.parameters["blocks"] == [0, 1]
    assert (found.shape, found.dtype) == ((4, 2, 17, 32), np.float32)
    images = sealed(place, "datasets/blobs/test").mixed("images")
    for row, sample in enumerate(artifact.index().to_pylist()):
        if sample["status"] != "ok":
            assert np.isnan(found[row]).all()
            continue
        pixels = prepare(Pictures.fromarray(images[row]))[None]
        with torch.inference_mode():
            own = model.visual.forward_intermediates(
                pixels, [0, 1], output_fmt="NLC", output_extra_tokens=True
            )
        parts = zip(own["image_intermediates_prefix"], own["image_intermediates"], strict=True)
        expected = torch.stack([torch.cat(part, 1) for part in parts], 1)[0]
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-4)
    check_token_features(place, model)
    assert pipeline(*asks).json["units"] == 0
    assert not pipeline.modules(*asks) & {"torch", "open_clip", "timm", "transformers"}
    assert pipeline("verify", "--store", "store").rc == 0
    known = ("--store", "store", "--manifests", "my", "--weights", "weights")
    again = pipeline("verify", *known, "--recompute", 30, "--json").json["recomputed"]
    assert again["not_recomputed"] == []
    assert not (place / "store" / "embeddings").exists()


def check_token_features(place: Path, model: Any) -> None:
    """Require the rows of token features to be what open_clip makes of their texts."""
    import open_clip
    import torch

    artifact = sealed(place, "token-features/tiny-clip/fixed/blobs/test")
    found, index = artifact.array("tokens")[:], artifact.index().to_pylist()
    prompts = sealed(place, "prompts/fixed/blobs/test").index().to_pylist()
    assert [row["text"] for row in index] == [row["text"] for row in prompts]
    assert found.shape[1:] == (2, artifact.attributes["context_length"], 32)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{place / 'weights'}")
    for row, one in enumerate(index):
        if one["text"] is None:
            assert np.isnan(found[row]).all()
            assert one["tokens"] is None
    given = [row for row, one in enumerate(index) if one["text"] is not None][:20]
    tokens = tokenizer([index[row]["text"] for row in given])
    used = [int((ids != 0).sum()) for ids in tokens]
    assert used == [min(index[row]["tokens"], found.shape[2]) for row in given]
    with torch.inference_mode():
        own = model.forward_intermediates(text=tokens, text_indices=[0, 1])["text_intermediates"]
    np.testing.assert_allclose(found[given], torch.stack(own, 1), rtol=0, atol=1e-4)


def test_features_in_half_precision_beside_embeddings(pipeline: Any, place: Path) -> None:
    """`--features both` adds the last block to the embeddings; the stored type is in the name."""
    asked = ("--datasets", "blobs", "--features", "both", "--dtype", "float16")
    pipeline("embed", *at("tiny-clip"), *asked)
    artifact = sealed(place, "patch-features/tiny-clip@float16/blobs/test")
    assert artifact.attributes["blocks"] == [1]
    assert artifact.array("patches")[:].shape == (4, 1, 17, 32)
    assert artifact.array("patches")[:].dtype == np.float16
    assert len(sealed(place, "embeddings/tiny-clip@float16/blobs/test")) == 4


@pytest.mark.parametrize(
    ("encoder", "asked", "said"),
    [
        ("tiny-clip", ("--features", "patch", "--blocks", "2"), "has no block 2: it has 2 blocks"),
        ("tiny-clip", ("--features", "patch", "--blocks", "last"), "give numbers from 0"),
        ("tiny-clip", ("--blocks", "1"), "add --features patch or both"),
        ("tiny-clip", ("--features", "patches"), "did you mean 'patch'"),
        ("texture", ("--features", "both"), "it offers --features global only"),
    ],
)
def test_features_that_are_not_there(
    pipeline: Any, place: Path, encoder: str, asked: tuple[str, ...], said: str
) -> None:
    """What an encoder does not offer is refused before anything runs."""
    refused = pipeline("embed", *at(encoder), "--datasets", "blobs", *asked, rc=None)
    refused.refused(2, said)
    assert not (place / "store" / "embeddings").exists()
