"""The loader of Hugging Face CLIPs against transformers itself, on a tiny checkpoint."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipeline.errors import DataError, ManifestError, MissingInputError
from pipeline.manifest import read_manifest
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.testing import TEXTS, VisionLanguageContract, generated_images
from tests.stages.embed.checkpoints import TokenizerContract
from tests.stages.embed.tiny import MEAN, STD, Copy, Put, change_json, load, preprocessing, shipped
from tests.stages.embed.tiny_hugging_face import (
    PREPARED,
    SIZE,
    declare,
    processor,
    reference,
    weights_of,
    write,
)

identity = loader("hugging_face_clip").identity


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny CLIP."""
    return write(tmp_path_factory.mktemp("tiny-hf-clip"))


class TestTinyClip(TokenizerContract, VisionLanguageContract):
    """A CLIP of transformers keeps the contracts."""

    needed = (
        ("model.safetensors", "model.safetensors or pytorch_model.bin of"),
        ("config.json", "config.json of"),
        ("preprocessor_config.json", "preprocessor_config.json or processor_config.json of"),
        ("merges.txt", "tokenizer.json, or vocab.json and merges.txt, of"),
    )
    tokenizer = "tokenizer.json"

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, folder):
        return declare(), folder


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (33, 57), (80, 41), (64, 64), (47, 32)])
def test_equals_transformers(shape: tuple[int, int], folder: Path):
    """Embeddings and logit scale are transformers' own, for an odd number of cut pixels too."""
    images = generated_images(4, *shape, 3)
    pictures, texts, scale = reference(folder, images)
    encoder = load(declare(), folder)
    np.testing.assert_allclose(encoder.encode_images(images), pictures, rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoder.text.encode_texts(TEXTS), texts, rtol=0, atol=1e-5)
    assert encoder.text.logit_scale == pytest.approx(scale)
    assert len(np.unique(texts.round(3), axis=0)) == len(TEXTS)


@pytest.mark.parametrize(
    ("stated", "declared"),
    [
        ({"size": {"shortest_edge": 40}}, {"crop": 0.8}),
        ({"size": {"height": 40, "width": 40}}, {"resize_mode": "squash", "crop": 0.8}),
        (
            {"size": {"height": SIZE, "width": SIZE}, "do_center_crop": False, "resample": 2},
            {"resize_mode": "squash", "interpolation": "bilinear"},
        ),
    ],
    ids=["crop", "squash and crop", "squash"],
)
def test_other_preprocessing_equals_transformers(
    stated: dict[str, object], declared: dict[str, object], folder: Path, copy_of: Copy
):
    """Each preparation that a manifest can declare gives transformers' own embeddings."""
    other = copy_of(folder)
    later = {"crop_size": {"height": SIZE, "width": SIZE}, "do_rescale": True}
    kind = {"feature_extractor_type": None, "image_processor_type": "CLIPImageProcessor"}
    change_json(other / "preprocessor_config.json", **later, **kind, **stated)
    images = generated_images(3, 45, 38, 3)
    encoder = load(declare(preprocessing=preprocessing(**declared)), other)
    expected = reference(other, images)[0]
    np.testing.assert_allclose(encoder.encode_images(images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_normalised_once(channels: int, folder: Path):
    """The model's input is that of transformers' own processor, normalised exactly once."""
    images = generated_images(3, SIZE, SIZE, channels)
    found = load(declare(), folder).prepare_images(images).numpy()
    once = (np.repeat(images, 3 // channels, axis=3) / 255 - MEAN) / STD
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), once, atol=1e-5)
    prepare = processor(folder)
    colour = np.repeat(images, 3 // channels, axis=3)
    own = [prepare(Image.fromarray(one), return_tensors="np")["pixel_values"][0] for one in colour]
    np.testing.assert_allclose(found, np.stack(own), rtol=0, atol=1e-6)


def test_older_files(folder: Path, copy_of: Copy):
    """Weights pickled with counters, tokenizer.json and a fast processor embed the same."""
    import transformers

    other = copy_of(folder)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(other)
    for name in ("vocab.json", "merges.txt"):
        (other / name).unlink(missing_ok=True)
    assert (other / "tokenizer.json").is_file()
    state = load_file(weights_of(other))
    weights_of(other).unlink()
    state["text_model.embeddings.position_ids"] = torch.arange(24)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    state["logit_scale"] = state["logit_scale"][None]
    torch.save(state, other / "pytorch_model.bin")
    nested = {**PREPARED, "image_processor_type": "CLIPImageProcessorFast"}
    (other / "preprocessor_config.json").unlink()
    (other / "processor_config.json").write_text(json.dumps({"image_processor": nested}))
    images = generated_images(2, 40, 40, 3)
    found, expected = (load(declare(), one) for one in (other, folder))
    np.testing.assert_array_equal(found.encode_images(images), expected.encode_images(images))
    np.testing.assert_array_equal(found.text.encode_texts(TEXTS), expected.text.encode_texts(TEXTS))
    np.testing.assert_array_equal(found.text.token_counts(TEXTS), expected.text.token_counts(TEXTS))
    assert found.text.logit_scale == expected.text.logit_scale


def test_the_largest_token_of_older_configurations(folder: Path, copy_of: Copy):
    """With `eos_token_id` 2, as first published, the embedding is that of the largest token."""
    other = copy_of(folder)
    config = json.loads((other / "config.json").read_text())
    change_json(other / "config.json", text_config=config["text_config"] | {"eos_token_id": 2})
    found = load(declare(), other).text.encode_texts(TEXTS)
    np.testing.assert_allclose(
        found, reference(folder, generated_images(1, 32, 32, 3))[1], atol=1e-5
    )


def test_half_precision_files_are_computed_in_full(folder: Path, copy_of: Copy):
    """A configuration or file in float16 does not make the computation one."""
    other = copy_of(folder)
    change_json(other / "config.json", torch_dtype="float16")
    images = generated_images(2, 40, 40, 3)
    expected = load(declare(), folder).encode_images(images)
    np.testing.assert_array_equal(load(declare(), other).encode_images(images), expected)
    state = {name: value.half() for name, value in load_file(weights_of(other)).items()}
    save_file(state, weights_of(other))
    found = load(declare(), other).encode_images(images)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert not np.array_equal(found, found.astype(np.float16).astype(np.float32))


def test_vision_only(folder: Path, copy_of: Copy):
    """Declared vision-only, a CLIP embeds images without any tokenizer file."""
    other = copy_of(folder)
    for path in other.glob("*"):
        if path.name not in {"config.json", "preprocessor_config.json", "model.safetensors"}:
            path.unlink()
    encoder = load(declare(kind="vision-only", text=None), other)
    assert encoder.text is None
    images = generated_images(2, 40, 40, 3)
    expected = load(declare(), folder).encode_images(images)
    np.testing.assert_array_equal(encoder.encode_images(images), expected)


def test_from_the_hub_cache_and_by_file(folder: Path, hub_cache: Put):
    """The hub cache, or a weights file with its repository around it, is as good as a folder."""
    expected = identity(declare(), folder)
    with pytest.raises(MissingInputError, match=r"hf download some-lab/tiny-hf-clip model.safete"):
        identity(declare(), None)
    hub_cache("some-lab/tiny-hf-clip", folder)
    assert identity(declare(), None) == expected
    assert identity(declare(), weights_of(folder)) == expected


def test_everything_missing_is_named_at_once(tmp_path: Path):
    """An empty folder is one error with all four, and what to fetch."""
    files = loader("hugging_face_clip").files(declare(), tmp_path)
    assert [one.role for one in files] == [
        "weights",
        "configuration",
        "preprocessing",
        "vocabulary",
    ]
    assert not any(one.present for one in files)
    with pytest.raises(MissingInputError) as caught:
        load(declare(), tmp_path)
    for part in ("model.safetensors", "preprocessor_config.json", "vocab.json", "config.json of"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ({"image_mean": [0.5, 0.5, 0.5]}, r"image_mean is \[0.5, 0.5, 0.5\], the manifest says"),
        ({"image_mean": None}, r"image_mean is \[0.48145466, "),
        ({"image_std": [0.1, 0.25, 0.3]}, r"image_std is \[0.1, "),
        ({"resample": 2}, r'resample is "bilinear", the manifest says "bicubic"'),
        ({"resample": 1}, r"resample is 1, the manifest says"),
        ({"size": 36}, r"size is 36, the manifest says 32"),
        ({"size": None}, r"size is 224, the manifest says 32"),
        ({"size": {"height": 32, "width": 32}}, r'is "squash", the manifest says "shortest"'),
        ({"size": {"height": 32, "width": 48}}, r"size is \{.*48\}, the manifest says 32"),
        ({"crop_size": 24}, r"crop_size is 24, the manifest says 32"),
        ({"do_resize": False}, r"resize_mode .* is null"),
        ({"do_center_crop": False}, r"resize_mode .* is null"),
        ({"do_normalize": False}, r"do_normalize is false"),
        ({"do_rescale": False}, r"do_rescale is false"),
        ({"rescale_factor": 0.5}, r"rescale_factor is 0.5"),
        ({"feature_extractor_type": "ViTFeatureExtractor"}, r"image_processor_type is \"ViTF"),
    ],
)
def test_another_preprocessing(stated: dict[str, object], fault: str, folder: Path, copy_of: Copy):
    """What preprocessor_config.json states or means otherwise than the manifest is refused."""
    other = copy_of(folder)
    change_json(other / "preprocessor_config.json", **stated)
    with pytest.raises(DataError, match=fault) as caught:
        identity(declare(), other)
    where = other / "preprocessor_config.json"
    assert str(caught.value).startswith(f"{where}: is not the encoder tiny-hf-clip: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"width": 32}, "projection_dim is 16, the manifest says 32"),
        ({"input_size": 48}, "vision_config.image_size is 32, the manifest says 48"),
        (
            {"text": {"tokenizer": "hugging-face", "context_length": 77}},
            "text_config.max_position_embeddings is 24, the manifest says 77",
        ),
    ],
)
def test_another_configuration(changes: dict[str, object], fault: str, folder: Path):
    """What config.json states otherwise than the manifest is refused."""
    with pytest.raises(DataError, match=rf"config.json: is not the encoder .*{fault}"):
        identity(declare(**changes), folder)


def test_the_configuration_of_another_kind(folder: Path, copy_of: Copy):
    """A config.json of another type of model, or without one, is refused."""
    other = copy_of(folder)
    change_json(other / "config.json", model_type="siglip")
    with pytest.raises(DataError, match=r'model_type is "siglip", the manifest says "clip"'):
        load(declare(), other)
    change_json(other / "config.json", model_type=None)
    with pytest.raises(DataError, match=r"config.json: states no model_type"):
        load(declare(), other)


def test_impossible_architecture(folder: Path, copy_of: Copy):
    """A configuration that transformers cannot build is one error naming the folder."""
    other = copy_of(folder)
    config = json.loads((other / "config.json").read_text())
    change_json(other / "config.json", vision_config=config["vision_config"] | {"hidden_size": 33})
    with pytest.raises(
        DataError, match=rf"{other}: its config.json is no tiny-hf-clip: "
    ) as caught:
        load(declare(), other)
    assert len(str(caught.value).splitlines()) == 1


def test_weights_of_another_model(folder: Path, copy_of: Copy):
    """Missing, unexpected and ill-shaped tensors are all named, with the file."""
    other = copy_of(folder)
    state = load_file(weights_of(other))
    state["visual_projection.bias"] = state.pop("visual_projection.weight")
    state["text_projection.weight"] = state["text_projection.weight"][:8].contiguous()
    save_file(state, weights_of(other))
    with pytest.raises(DataError) as caught:
        load(declare(), other)
    for part in (
        f"{weights_of(other)}: these weights do not fit tiny-hf-clip",
        f"1 of {len(state)} missing: visual_projection.weight",
        "1 unexpected: visual_projection.bias",
        "text_projection.weight is (8, 32) instead of (16, 32)",
    ):
        assert part in str(caught.value)


def test_the_tokenizer_of_another_model(folder: Path, copy_of: Copy):
    """A tokenizer that never gives the token the model looks for, or too many, is refused."""
    other = copy_of(folder)
    config = json.loads((other / "config.json").read_text())
    change_json(other / "config.json", text_config=config["text_config"] | {"eos_token_id": 5})
    with pytest.raises(DataError, match=rf"{other}: its tokenizer is not .* with token 5, where"):
        load(declare(), other)
    shutil.rmtree(other)
    other = copy_of(folder)
    vocabulary = json.loads((other / "vocab.json").read_text())
    change_json(other / "vocab.json", one_more=len(vocabulary))
    with pytest.raises(DataError, match=rf"{other}: its tokenizer .* {len(vocabulary) + 1} tokens"):
        load(declare(), other)


def test_code_of_a_repository_is_not_run(folder: Path, copy_of: Copy):
    """A tokenizer that needs the repository's own code is refused, and nothing of it runs."""
    other = copy_of(folder)
    (other / "own.py").write_text("raise SystemExit")
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [None, "own.Own"]}}
    change_json(other / "tokenizer_config.json", **own)
    change_json(other / "config.json", auto_map={"AutoTokenizer": [None, "own.Own"]})
    with pytest.raises(DataError, match=r"its tokenizer files cannot be read"):
        load(declare(), other)


def test_identity_holds_what_determines_the_output(folder: Path, copy_of: Copy):
    """Weights, vocabulary, architecture and preprocessing enter the key; the place does not."""
    other = copy_of(folder)
    first = identity(declare(), folder)
    assert identity(declare(), other) == first
    change_json(other / "config.json", transformers_version="4.21.0", _name_or_path="somewhere")
    assert identity(declare(), other) == first
    assert set(first["tokenizer"]["files"]) == {
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
    }
    (other / "merges.txt").write_text("#version: 0.2\n")
    assert identity(declare(), other) != first
    shutil.copy(folder / "merges.txt", other)
    assert identity(declare(), other) == first
    vision = json.loads((other / "config.json").read_text())["vision_config"]
    change_json(other / "config.json", vision_config=vision | {"hidden_act": "gelu"})
    assert identity(declare(), other) != first


def test_the_shipped_manifest():
    """PubMedCLIP is a ViT-B/32 prepared as CLIP's own image processor does by default."""
    import transformers

    manifest = shipped("pubmedclip")
    config = transformers.CLIPConfig()
    assert manifest.width == config.projection_dim
    assert manifest.input_size == config.vision_config.image_size
    assert manifest.text.context_length == config.text_config.max_position_embeddings
    own = transformers.CLIPImageProcessor()
    assert manifest.preprocessing.mean == tuple(own.image_mean)
    assert manifest.preprocessing.std == tuple(own.image_std)
    assert dict(own.size)["shortest_edge"] == manifest.input_size


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('tokenizer = "hugging-face"', 'tokenizer = "clip"', "text: .*tokenizer files"),
        ("[weights]", "[weights]\nquick_gelu = true", "weights: .*reads no quick_gelu"),
        ("[weights]", '[weights]\narchitecture = "ViT-B-32"', "weights: .*no architecture"),
    ],
)
def test_manifests_that_no_model_has(old: str, new: str, fault: str, tmp_path: Path):
    """A field that the family does not read is refused, not ignored."""
    text = (resources.files("manifests") / "encoders" / "pubmedclip.toml").read_text()
    path = tmp_path / "encoder.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=fault):
        read_manifest(path, EncoderManifest)
