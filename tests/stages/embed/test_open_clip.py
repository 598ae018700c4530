"""The open_clip loader against open_clip itself, on tiny checkpoints in the real layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipeline.errors import DataError, UsageError
from pipeline.manifest import read_manifest
from stages.embed.encoder import Images
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.testing import TEXTS, VisionLanguageContract, generated_images
from tests.stages.embed.checkpoints import CheckpointContract, TokenizerContract
from tests.stages.embed.tiny import (
    BERT_MODEL,
    CLIP_MODEL,
    MEAN,
    STD,
    Copy,
    Put,
    declare_bert,
    declare_clip,
    load,
    shipped,
    write_config,
)


class TestTinyClip(CheckpointContract, VisionLanguageContract):
    """A model of open_clip's own classes keeps the contracts."""

    needed = (
        ("open_clip_model.safetensors", "open_clip_model.safetensors or"),
        ("open_clip_config.json", "open_clip_config.json of"),
    )

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, clip_folder):
        return declare_clip(), clip_folder


class TestTinyBertClip(TokenizerContract, VisionLanguageContract):
    """A timm image tower with a BERT text tower, as BiomedCLIP's, keeps the contracts."""

    needed = (
        ("open_clip_pytorch_model.bin", "open_clip_pytorch_model.bin of"),
        ("open_clip_config.json", "open_clip_config.json of"),
        ("config.json", "config.json (the text model's) of"),
        ("vocab.txt", "tokenizer.json or vocab.txt of"),
    )
    tokenizer = "tokenizer.json"

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, bert_folder):
        return declare_bert(), bert_folder


def reference(folder: Path, images: Images, **model: object) -> tuple[np.ndarray, ...]:
    """Return open_clip's own embeddings of images, one by one through Pillow, and of `TEXTS`."""
    import open_clip

    name = f"local-dir:{folder}"
    own, _, prepare = open_clip.create_model_and_transforms(name, **model)
    own.eval()
    tokens = open_clip.get_tokenizer(name)(list(TEXTS))
    with torch.inference_mode():
        rows = [own.encode_image(prepare(Image.fromarray(image))[None])[0] for image in images]
        return torch.stack(rows).numpy(), own.encode_text(tokens).numpy(), own.logit_scale.exp()


@pytest.mark.parametrize("size", [28, 32, 64])
def test_clip_equals_open_clip(size: int, clip_folder: Path):
    """Image and text embeddings and the logit scale are those of open_clip run directly."""
    images = generated_images(5, size, size + 8, 3)
    pictures, texts, scale = reference(clip_folder, images)
    encoder = load(declare_clip(), clip_folder)
    np.testing.assert_allclose(encoder.encode_images(images), pictures, rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoder.text.encode_texts(TEXTS), texts, rtol=0, atol=1e-5)
    assert encoder.text.logit_scale == pytest.approx(float(scale))


def test_bert_clip_equals_open_clip(bert_folder: Path):
    """With a Hugging Face text tower too, embeddings are those of open_clip run directly."""
    images = generated_images(3, 64, 64, 3)
    offline = BERT_MODEL["text_cfg"] | {"hf_model_name": str(bert_folder)}
    own = {"text_cfg": offline | {"hf_model_pretrained": False}}
    pictures, texts, _ = reference(bert_folder, images, **own)
    encoder = load(declare_bert(), bert_folder)
    np.testing.assert_allclose(encoder.encode_images(images), pictures, rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoder.text.encode_texts(TEXTS), texts, rtol=0, atol=1e-5)


def test_convolutional_image_tower(tmp_path: Path):
    """A ResNet tower, whose files may lack training counters, embeds as open_clip's does."""
    import open_clip

    tower = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    model = CLIP_MODEL | {"vision_cfg": tower, "quick_gelu": True}
    write_config(tmp_path, model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        own = open_clip.CLIP(**model)
    tensors = {name: tensor.contiguous() for name, tensor in own.state_dict().items()}
    kept = {name: tensor for name, tensor in tensors.items() if "num_batches" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, tmp_path / "open_clip_model.safetensors")
    images = generated_images(3, 32, 32, 3)
    manifest = declare_clip(weights={"repository": "some-lab/tiny-rn", "quick_gelu": True})
    found = load(manifest, tmp_path).encode_images(images)
    save_file(tensors, tmp_path / "open_clip_model.safetensors")
    expected, *_ = reference(tmp_path, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batch_size_is_a_resource(batch_size: int, clip_folder: Path):
    """The batch size changes embeddings by rounding only."""
    images = generated_images(9, 32, 32, 3)
    expected = load(declare_clip(), clip_folder, batch_size=5).encode_images(images)
    found = load(declare_clip(), clip_folder, batch_size=batch_size).encode_images(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_batches_have_one_shape(clip_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Every batch the model sees has the same shape, the last one padded."""
    seen = inputs_of(monkeypatch)
    load(declare_clip(), clip_folder, batch_size=4).encode_images(generated_images(9, 32, 32, 3))
    assert [tuple(batch.shape) for batch in seen] == [(4, 3, 32, 32)] * 3
    assert not seen[-1][1:].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_normalised_once(
    channels: int, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """At the model's input, pixels have its own mean and deviation taken out exactly once."""
    images = generated_images(4, 32, 32, channels)
    seen = inputs_of(monkeypatch)
    load(declare_clip(), clip_folder, batch_size=4).encode_images(images)
    once = (np.repeat(images, 3 // channels, axis=3) / 255 - MEAN) / STD
    np.testing.assert_allclose(seen[0].permute(0, 2, 3, 1).numpy(), once, atol=1e-5)


def test_a_labelled_variant_normalises_twice(clip_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The trap of published code is repeated where a manifest says so, and only there."""
    once = declare_clip()
    declared = once.preprocessing.model_dump()
    twice = declare_clip(id="tiny-clip@paper", preprocessing=declared | {"normalised": 2})
    images = generated_images(4, 32, 32, 3)
    seen = inputs_of(monkeypatch)
    embedded = [load(one, clip_folder, batch_size=4).encode_images(images) for one in (once, twice)]
    plain, labelled = (batch.permute(0, 2, 3, 1).double().numpy() for batch in seen)
    own = (images / 255 - MEAN) / STD
    again = (own - MEAN) / STD
    np.testing.assert_allclose(plain, own, atol=1e-5)
    np.testing.assert_allclose(labelled, again, atol=1e-4)
    pixels = (0, 1, 2)
    np.testing.assert_allclose(plain.mean(pixels), own.mean(pixels), atol=1e-5)
    np.testing.assert_allclose(plain.std(pixels), own.std(pixels), atol=1e-5)
    np.testing.assert_allclose(labelled.mean(pixels), again.mean(pixels), atol=1e-4)
    np.testing.assert_allclose(labelled.std(pixels), own.std(pixels) / STD, atol=1e-4)
    assert not np.allclose(*embedded)


def test_the_variant_of_robustmedclip_differs_in_nothing_else():
    """clip-vit-b16@robustmedclip is clip-vit-b16 but for the second normalisation and its words."""
    plain, labelled = (shipped(name) for name in ("clip-vit-b16", "clip-vit-b16@robustmedclip"))
    assert plain.preprocessing.normalised == 1
    assert labelled.preprocessing == plain.preprocessing.model_copy(update={"normalised": 2})
    words = {"id", "title", "description", "preprocessing"}
    assert labelled.model_dump(exclude=words) == plain.model_dump(exclude=words)
    assert "normalised twice" in labelled.title
    assert "must not be reported as CLIP" in labelled.description


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_declared_preprocessing_is_applied(resize_mode: str, interpolation: str, clip_folder: Path):
    """Resize rule, interpolation and padding follow the manifest, as open_clip does them."""
    import open_clip

    images = generated_images(2, 48, 70, 3)
    declared = declare_clip().preprocessing.model_dump() | {
        "resize_mode": resize_mode,
        "interpolation": interpolation,
    }
    encoder = load(declare_clip(preprocessing=declared), clip_folder)
    name = f"local-dir:{clip_folder}"
    _, _, prepare = open_clip.create_model_and_transforms(
        name, image_interpolation=interpolation, image_resize_mode=resize_mode
    )
    expected = torch.stack([prepare(Image.fromarray(image)) for image in images])
    assert torch.equal(encoder.prepare_images(images), expected)


@pytest.mark.parametrize("form", ["safetensors", "pt", "checkpoint"])
def test_bare_weights_of_a_named_architecture(
    form: str, clip_folder: Path, tmp_path: Path, architecture: str
):
    """A single weights file loads where the manifest names architecture and preprocessing."""
    weights = load_file(clip_folder / "open_clip_model.safetensors")
    if form == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(weights, path)
    else:
        path = tmp_path / "weights.pt"
        wrapped = {f"module.{name}": tensor for name, tensor in weights.items()}
        torch.save({"epoch": 3, "state_dict": wrapped} if form == "checkpoint" else weights, path)
    manifest = declare_clip(weights={"architecture": architecture})
    images = generated_images(3, 32, 32, 3)
    np.testing.assert_array_equal(
        load(manifest, path).encode_images(images),
        load(declare_clip(), clip_folder).encode_images(images),
    )


def test_quick_gelu_is_the_manifests(clip_folder: Path):
    """QuickGELU is used where the manifest says so and the folder says nothing."""
    images = generated_images(3, 32, 32, 3)
    quick = declare_clip(weights={"repository": "some-lab/tiny-clip", "quick_gelu": True})
    found = load(quick, clip_folder).encode_images(images)
    expected, *_ = reference(clip_folder, images, quick_gelu=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert not np.allclose(found, load(declare_clip(), clip_folder).encode_images(images))


def test_half_precision_weights_compute_in_float32(clip_folder: Path, copy_of: Copy):
    """Weights stored in float16 give the embeddings of the same numbers in float32."""
    folder = copy_of(clip_folder)
    path = folder / "open_clip_model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(halves, path)
    images = generated_images(3, 32, 32, 3)
    found = load(declare_clip(), folder).encode_images(images)
    save_file({name: tensor.float() for name, tensor in halves.items()}, path)
    np.testing.assert_array_equal(found, load(declare_clip(), folder).encode_images(images))


USERS_MANIFEST = """
schema = 1
id = "my-clip"
title = "A CLIP of the hub"
description = "One that is not shipped."
citation = "none"
family = "open_clip"
kind = "vision-language"
width = 16
input_size = 32
pretraining_data = ["not stated"]
licence = { spdx = "MIT", source = "its model card" }
weights = { repository = "Some-Lab/ViT-tiny.v2", revision = "main" }
text = { tokenizer = "clip", context_length = 12 }
[preprocessing]
resize_mode = "squash"
interpolation = "bilinear"
mean = [0.4, 0.5, 0.6]
std = [0.2, 0.25, 0.3]
"""


def test_any_repository_by_a_users_manifest(
    clip_folder: Path, hub_cache: Put, copy_of: Copy, tmp_path: Path
):
    """A manifest of a few lines embeds with any repository that open_clip can read."""
    folder = copy_of(clip_folder)
    write_config(folder, CLIP_MODEL, interpolation="bilinear", resize_mode="squash")
    hub_cache("Some-Lab/ViT-tiny.v2", folder)
    path = tmp_path / "my.toml"
    path.write_text(USERS_MANIFEST)
    images = generated_images(3, 40, 64, 3)
    pictures, texts, _ = reference(folder, images)
    encoder = load(read_manifest(path, EncoderManifest), None)
    np.testing.assert_allclose(encoder.encode_images(images), pictures, rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoder.text.encode_texts(TEXTS), texts, rtol=0, atol=1e-5)


def test_a_users_manifest_must_agree_with_the_repository(
    clip_folder: Path, hub_cache: Put, tmp_path: Path
):
    """What the repository's open_clip_config.json states otherwise is refused, not overruled."""
    folder = hub_cache("Some-Lab/ViT-tiny.v2", clip_folder)
    write_config(folder, CLIP_MODEL | {"quick_gelu": True}, resize_mode="shortest")
    path = tmp_path / "my.toml"
    path.write_text(USERS_MANIFEST)
    with pytest.raises(DataError, match=r"open_clip_config.json: is not the encoder") as caught:
        load(read_manifest(path, EncoderManifest), None)
    assert 'resize_mode is "shortest", the manifest says "squash"' in str(caught.value)
    assert "quick_gelu is true, the manifest says false" in str(caught.value)


def test_vision_only_use_of_a_vision_language_model(clip_folder: Path):
    """A manifest may leave the text half out."""
    manifest = declare_clip(kind="vision-only", text=None)
    assert load(manifest, clip_folder).text is None
    assert loader("open_clip").identity(manifest, clip_folder)["tokenizer"] is None


@pytest.mark.parametrize("device", ["quantum", "mps", "cuda:99"])
def test_unusable_devices(device: str, clip_folder: Path):
    """A device that is unknown or absent is a usage error naming it."""
    with pytest.raises(UsageError, match=device):
        load(declare_clip(), clip_folder, device=device)


def test_any_device(clip_folder: Path):
    """By default the encoder runs on what there is, with the same result."""
    images = generated_images(3, 32, 32, 3)
    found = load(declare_clip(), clip_folder, device="auto").encode_images(images)
    expected = load(declare_clip(), clip_folder).encode_images(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_weights_of_another_model(clip_folder: Path, copy_of: Copy):
    """Missing, unexpected and ill-shaped tensors are all named, with the file."""
    folder = copy_of(clip_folder)
    path = folder / "open_clip_model.safetensors"
    tensors = load_file(path)
    tensors["visual.extra"] = tensors.pop("visual.proj")
    tensors["text_projection"] = tensors["text_projection"][:, :8].contiguous()
    save_file(tensors, path)
    with pytest.raises(DataError) as caught:
        load(declare_clip(), folder)
    message = str(caught.value)
    assert str(path) in message
    assert "tiny-clip" in message
    assert f"1 of {len(tensors)} missing: visual.proj" in message
    assert "1 unexpected: visual.extra" in message
    assert "text_projection is (32, 8) instead of (32, 16)" in message


def test_position_embeddings_are_not_resized(clip_folder: Path, copy_of: Copy):
    """Weights trained at another input size are refused, not silently interpolated."""
    folder = copy_of(clip_folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["image_size"] = 48
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"visual.positional_embedding is \(17, 32\) instead of"):
        load(declare_clip(input_size=48), folder)


def test_weights_of_another_width(clip_folder: Path, tmp_path: Path, architecture: str):
    """Weights whose embeddings are narrower than the manifest says are refused by shape."""
    tensors = load_file(clip_folder / "open_clip_model.safetensors")
    for name in ("visual.proj", "text_projection"):
        tensors[name] = tensors[name][:, :8].contiguous()
    path = tmp_path / "narrow.safetensors"
    save_file(tensors, path)
    manifest = declare_clip(weights={"architecture": architecture})
    with pytest.raises(DataError, match=r"narrow.safetensors: .* 2 of another shape"):
        load(manifest, path)


def test_impossible_architecture(clip_folder: Path, copy_of: Copy):
    """A configuration that open_clip cannot build is one error naming the folder."""
    folder = copy_of(clip_folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["windows"] = 3
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=rf"{folder}: open_clip cannot build tiny-clip: .*windows"):
        load(declare_clip(), folder)


def inputs_of(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Return a list that receives what reaches the image tower."""
    import open_clip

    seen: list[torch.Tensor] = []
    original = open_clip.CLIP.encode_image

    def recorded(self, image, normalize=False):
        seen.append(image.clone())
        return original(self, image, normalize)

    monkeypatch.setattr(open_clip.CLIP, "encode_image", recorded)
    return seen
