"""The timm loader against timm itself, on tiny checkpoints in the layout of its repositories."""

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
from stages.embed.encoder import EqualImages
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.testing import EncoderContract, generated_images
from tests.stages.embed.checkpoints import CheckpointContract
from tests.stages.embed.tiny import Copy, Put, change_json, load, shipped
from tests.stages.embed.tiny_timm import declare, preprocessing, weights_of, write

SHIPPED = ("dinov2-vit-b14", "resnet50-imagenet")
COMMIT = "fedcba9876543210fedcba9876543210fedcba98"
NEEDED = (("model.safetensors", "model.safetensors or"), ("config.json", "config.json of"))
identity = loader("timm").identity


def reference(folder: Path, images: EqualImages) -> np.ndarray:
    """Return timm's own embeddings of images, prepared one by one by its own transform."""
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    config = timm.data.resolve_model_data_config(model)
    prepare = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        rows = [model(prepare(Image.fromarray(image))[None])[0] for image in images]
    return torch.stack(rows).numpy()


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny vision transformer."""
    return write(tmp_path_factory.mktemp("tiny-timm"))


class TestTinyVit(CheckpointContract, EncoderContract):
    """A vision transformer of timm keeps the contracts."""

    needed = NEEDED

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, vit_folder):
        return declare(), vit_folder


class TestTinyResNet(CheckpointContract, EncoderContract):
    """A convolutional network of timm keeps the contracts."""

    needed = NEEDED

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, tmp_path_factory):
        folder = write(tmp_path_factory.mktemp("tiny-resnet"), "test_resnet")
        return declare("test_resnet"), folder


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
@pytest.mark.parametrize(
    ("stated", "declared"),
    [
        ({}, {}),
        ({"crop_pct": 1.0}, {"crop": 1.0}),
        ({"crop_pct": 0.875, "interpolation": "bilinear"}, {"crop": 0.875}),
        ({"crop_mode": "squash", "crop_pct": 0.9}, {"resize_mode": "squash", "crop": 0.9}),
    ],
    ids=["bicubic", "whole", "bilinear", "squash"],
)
def test_equals_timm(
    architecture: str, stated: dict[str, object], declared: dict[str, object], tmp_path: Path
):
    """Embeddings are those of timm's own model and transform, whatever the image's shape."""
    folder = write(tmp_path / "tiny", architecture, **stated)
    own = preprocessing(interpolation=stated.get("interpolation", "bicubic"), **declared)
    encoder = load(declare(architecture, preprocessing=own), folder)
    for shape in ((28, 28), (163, 200), (97, 41), (160, 160)):
        images = generated_images(3, *shape, 3)
        expected = reference(folder, images)
        np.testing.assert_allclose(encoder.encode_images(images), expected, rtol=0, atol=1e-5)


def test_position_embeddings_of_another_size(tmp_path: Path):
    """A transformer is built for the input size its configuration states, as timm builds it."""
    import timm

    folder = write(tmp_path / "tiny", input_size=[3, 96, 96])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        small = timm.create_model("test_vit", num_classes=0, img_size=96)
    save_file(small.state_dict(), weights_of(folder))
    images = generated_images(3, 50, 60, 3)
    found = load(declare(input_size=96), folder).encode_images(images)
    np.testing.assert_allclose(found, reference(folder, images), rtol=0, atol=1e-5)


def test_pickled_weights(vit_folder: Path, tmp_path: Path):
    """A state dict saved by torch gives the embeddings of the same weights in safetensors."""
    torch.save(load_file(weights_of(vit_folder)), tmp_path / "pytorch_model.bin")
    shutil.copy(vit_folder / "config.json", tmp_path)
    images = generated_images(2, 40, 40, 3)
    found, expected = (load(declare(), one).encode_images(images) for one in (tmp_path, vit_folder))
    np.testing.assert_array_equal(found, expected)


def test_bare_weights(vit_folder: Path, tmp_path: Path):
    """A weights file alone is enough, as the manifest names architecture and preprocessing."""
    bare = shutil.copy(weights_of(vit_folder), tmp_path / "other.safetensors")
    images = generated_images(2, 40, 40, 3)
    found, expected = (load(declare(), one).encode_images(images) for one in (bare, vit_folder))
    np.testing.assert_array_equal(found, expected)
    shutil.copy(vit_folder / "config.json", tmp_path)
    change_json(tmp_path / "config.json", architecture="test_vit2")
    with pytest.raises(DataError, match=r'config.json: .*architecture is "test_vit2"'):
        load(declare(), bare)


def test_hub_cache_at_a_commit(vit_folder: Path, hub_cache: Put):
    """Without a folder the declared commit is read from the hub cache, and no other one."""
    snapshot = hub_cache("some-lab/tiny-timm", vit_folder)
    weights = {"repository": "some-lab/tiny-timm", "architecture": "test_vit"}
    pinned = declare(weights={**weights, "revision": snapshot.name})
    images = generated_images(2, 40, 40, 3)
    expected = load(declare(), vit_folder).encode_images(images)
    np.testing.assert_array_equal(load(pinned, None).encode_images(images), expected)
    with pytest.raises(MissingInputError) as caught:
        identity(declare(weights={**weights, "revision": COMMIT}), None)
    message = str(caught.value)
    assert "model.safetensors or pytorch_model.bin of some-lab/tiny-timm" in message
    assert "hf download some-lab/tiny-timm model.safetensors pytorch_model.bin config.json " in (
        message
    )
    assert f"--revision {COMMIT}" in message


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, r"mean is \[0.5, 0.5, 0.5\], the manifest says \[0.4,"),
        ({"std": [0.1, 0.25, 0.3]}, r"std is \[0.1, "),
        ({"crop_pct": 1.0}, r"crop_pct is 1.0, the manifest says 0.95"),
        ({"crop_pct": None}, r"crop_pct is 0.875, the manifest says 0.95"),
        ({"crop_mode": "squash"}, r'crop_mode is "squash", the manifest says "shortest"'),
        ({"crop_mode": "border"}, r'crop_mode is "border"'),
        ({"interpolation": "bilinear"}, r'interpolation is "bilinear"'),
        ({"input_size": [3, 224, 224]}, r"input_size is \[3, 224, 224\]"),
        ({"input_size": [1, 160, 160]}, r"input_size is \[1, 160, 160\]"),
    ],
)
def test_another_preprocessing(
    stated: dict[str, object], fault: str, vit_folder: Path, copy_of: Copy
):
    """What config.json states otherwise than the manifest is refused before torch is needed."""
    folder = copy_of(vit_folder)
    own = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    change_json(folder / "config.json", pretrained_cfg=own | stated)
    with pytest.raises(DataError, match=fault) as caught:
        identity(declare(), folder)
    assert f"{folder / 'config.json'}: is not the encoder tiny-timm" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_configuration_of_timm(vit_folder: Path, copy_of: Copy):
    """The config.json of another library is refused by name."""
    folder = copy_of(vit_folder)
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(DataError, match=r"config.json: states no architecture"):
        load(declare(), folder)


def test_another_pooling(vit_folder: Path, copy_of: Copy):
    """Weights saved from a model with another pooling are refused, not pooled otherwise."""
    folder = copy_of(vit_folder)
    change_json(folder / "config.json", global_pool="map")
    with pytest.raises(DataError, match=r'global_pool is "map", timm builds test_vit with "token"'):
        load(declare(), folder)


def test_arguments_of_the_architecture(vit_folder: Path, copy_of: Copy):
    """`model_args` of config.json build the model and enter the key; loading ones are not taken."""
    folder = copy_of(vit_folder)
    before = identity(declare(), folder)
    arguments = {"depth": 2, "checkpoint_path": "/nowhere", "num_classes": 7}
    change_json(folder / "config.json", model_args=arguments)
    assert identity(declare(), folder)["architecture"] == {
        "name": "test_vit",
        "arguments": {"depth": 2},
        "fixed_input_size": True,
    }
    assert before["architecture"]["arguments"] == {}
    with pytest.raises(DataError, match=r"model.safetensors: .* fit test_vit: .* unexpected: bloc"):
        load(declare(), folder)
    change_json(folder / "config.json", model_args={"windows": 3})
    with pytest.raises(DataError, match=rf"{folder}: timm cannot build tiny-timm: .*windows"):
        load(declare(), folder)


def test_weights_of_another_model(vit_folder: Path, copy_of: Copy):
    """Missing, unexpected and ill-shaped tensors are named; only the classifier is left out."""
    folder = copy_of(vit_folder)
    tensors = load_file(weights_of(folder))
    assert {"head.weight", "head.bias"} <= tensors.keys()
    tensors["header.weight"] = tensors.pop("cls_token")
    tensors["pos_embed"] = tensors["pos_embed"][:, :50].contiguous()
    save_file(tensors, weights_of(folder))
    with pytest.raises(DataError) as caught:
        load(declare(), folder)
    message = str(caught.value)
    for part in (
        f"{weights_of(folder)}: these weights do not fit test_vit",
        "missing: cls_token",
        "1 unexpected: header.weight",
        "pos_embed is (1, 50, 64) instead of (1, 101, 64)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"width": 32}, r"makes embeddings of shape \(64,\), .* a width of 32"),
        ({"input_size": 96}, r"does not take the 96x96 pixels .*: its input is 160x160"),
    ],
)
def test_another_output_or_input(
    changes: dict[str, object], fault: str, vit_folder: Path, tmp_path: Path
):
    """A width or an input size that is not the model's own is refused before anything is sealed."""
    bare = shutil.copy(weights_of(vit_folder), tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match=fault):
        load(declare(**changes), bare)


def test_an_input_that_the_architecture_refuses(vit_folder: Path, copy_of: Copy):
    """What timm's model says when it sees another number of channels or pixels is told."""
    folder = copy_of(vit_folder)
    change_json(folder / "config.json", model_args={"in_chans": 1})
    tensors = load_file(weights_of(folder))
    tensors["patch_embed.proj.weight"] = tensors["patch_embed.proj.weight"][:, :1].contiguous()
    save_file(tensors, weights_of(folder))
    with pytest.raises(DataError, match=r"does not take the 160x160 pixels .*channels"):
        load(declare(), folder)


@pytest.mark.parametrize("name", ["test_vitt", "hf-hub:some-lab/tiny", "local-dir:/tmp"])
def test_unknown_architecture(name: str, vit_folder: Path, tmp_path: Path):
    """A name that timm does not know, or would download, is refused."""
    bare = shutil.copy(weights_of(vit_folder), tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match=r"this timm has no architecture"):
        load(declare(weights={"architecture": name}), bare)


def test_identity_holds_what_determines_the_output(vit_folder: Path, copy_of: Copy):
    """Weights and preprocessing enter the key; the folder and a crop of nothing do not."""
    folder = copy_of(vit_folder)
    first = identity(declare(), vit_folder)
    assert identity(declare(), folder) == first
    assert first["preprocessing"]["crop"] == 0.95
    tensors = load_file(weights_of(folder))
    tensors["cls_token"] += 1
    save_file(tensors, weights_of(folder))
    assert identity(declare(), folder) != first
    whole = identity(declare(preprocessing=preprocessing(crop=1.0)), weights_of_alone(folder))
    assert "crop" not in whole["preprocessing"]


def weights_of_alone(folder: Path) -> Path:
    """Return the weights file with nothing beside it."""
    (folder / "config.json").unlink()
    return weights_of(folder)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_manifests_agree_with_timm(name: str):
    """Architecture, width, input size and preprocessing are those that timm states."""
    import timm

    manifest = shipped(name)
    repository = manifest.weights.repository
    published = timm.get_pretrained_cfg(repository.removeprefix("timm/")).to_dict()
    assert published["hf_hub_id"] == repository
    assert published["architecture"] == manifest.weights.architecture
    assert published["license"] == manifest.licence.spdx.lower()
    assert published["input_size"] == (3, manifest.input_size, manifest.input_size)
    assert published["crop_mode"] == "center"
    assert manifest.preprocessing.resize_mode == "shortest"
    own = manifest.preprocessing
    assert (own.interpolation, own.mean, own.std, own.crop) == tuple(
        published[key] for key in ("interpolation", "mean", "std", "crop_pct")
    )
    with torch.device("meta"):
        model = timm.create_model(manifest.weights.architecture, num_classes=0)
    assert model.num_features == manifest.width


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('architecture = "resnet50"', "", "weights: .*timm's name of its architecture"),
        ('architecture = "resnet50"', 'architecture = "resnet50"\nquick_gelu = true', "quick_gelu"),
        ('"vision-only"', '"vision-language"', "kind: .*write vision-only"),
        ("crop = 0.95", "crop = 0.0", "preprocessing.crop"),
        ('"shortest"', '"longest"', "preprocessing.crop: .*shortest or squash"),
    ],
)
def test_manifests_that_no_model_has(old: str, new: str, fault: str, tmp_path: Path):
    """A field that the family does not read, or lacks, is refused."""
    text = (resources.files("manifests") / "encoders" / "resnet50-imagenet.toml").read_text()
    assert old in text
    path = tmp_path / "encoder.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=fault):
        read_manifest(path, EncoderManifest)
