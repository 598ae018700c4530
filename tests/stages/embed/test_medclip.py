"""The MedCLIP loader against the plain modules of transformers and torchvision."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import DataError, MissingInputError
from stages.embed.encoder import Images
from stages.embed.loaders import loader
from stages.embed.testing import VisionLanguageContract, generated_images
from tests.stages.embed.checkpoints import TokenizerContract
from tests.stages.embed.tiny import (
    Copy,
    Put,
    change_json,
    change_state,
    load,
    preprocessing,
    shipped,
)
from tests.stages.embed.tiny_medclip import (
    BERT,
    BERT_REPOSITORY,
    CONTEXT,
    MEAN,
    SIZE,
    STD,
    SWIN_REPOSITORY,
    Plain,
    declare_medclip,
    tokens_of,
    write_swin_files,
    write_text_files,
)

identity = loader("medclip").identity
TOLERANCE = 2e-5
OF_IMAGES = {"swin": TOLERANCE, "resnet50": 4e-5}
"""Fifty layers in float32 are up to 2.5e-5 from float64, depending on the processor."""


@pytest.fixture(scope="module", params=["swin", "resnet50"])
def architecture(request: pytest.FixtureRequest) -> str:
    """Return the name of an image tower."""
    return request.param


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder per image tower: the unpacked archive and folders of other repositories."""
    made = {}
    for seed, architecture in enumerate(("swin", "resnet50")):
        folder = tmp_path_factory.mktemp(architecture)
        torch.save(Plain(architecture, seed).state(), folder / "pytorch_model.bin")
        write_text_files(folder / "tiny-bert")
        if architecture == "swin":
            write_swin_files(folder / "tiny-swin")
        made[architecture] = folder
    return made


def plain(architecture: str) -> Plain:
    """Return the modules whose weights the folder of `architecture` holds."""
    return Plain(architecture, ("swin", "resnet50").index(architecture))


class TestSwin(TokenizerContract, VisionLanguageContract):
    """MedCLIP with a Swin transformer keeps the contracts."""

    needed = (
        ("pytorch_model.bin", "pytorch_model.bin,"),
        ("tiny-swin/config.json", '"swin" of'),
        ("tiny-bert/config.json", '"bert" of'),
        ("tiny-bert/vocab.txt", "or vocab.txt"),
    )
    tokenizer = "tiny-bert/tokenizer.json"

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, folders):
        return declare_medclip("swin"), folders["swin"]


class TestResNet(TokenizerContract, VisionLanguageContract):
    """MedCLIP with a ResNet-50 keeps the contracts."""

    needed = (TestSwin.needed[0], *TestSwin.needed[2:])
    tokenizer = TestSwin.tokenizer

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, folders):
        return declare_medclip("resnet50"), folders["resnet50"]


def padded(images: Images) -> torch.Tensor:
    """Return images as MedCLIP's processor prepares them, by arrays where they need no resize."""
    count, height, width, _ = images.shape
    gray = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    square = np.zeros((count, SIZE, SIZE), np.uint8)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    square[:, top : top + height, left : left + width] = gray
    once = (torch.from_numpy(square)[:, None].float() / 255 - MEAN) / STD
    return once.repeat(1, 3, 1, 1)


@pytest.mark.parametrize("shape", [(28, 28), (SIZE, SIZE), (41, 30)])
def test_images_equal_plain_modules(
    architecture: str, shape: tuple[int, int], folders: dict[str, Path]
):
    """Images no larger than the input keep their size, and embed as the plain modules do."""
    images = generated_images(4, *shape, 3)
    found = load(declare_medclip(architecture), folders[architecture]).encode_images(images)
    expected = plain(architecture).images(padded(images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=OF_IMAGES[architecture])


def test_large_images_are_padded_then_resized(folders: dict[str, Path]):
    """A wide image is centred on a black square, which Pillow's bicubic filter makes small."""
    image = generated_images(1, 70, 101, 3)
    encoder = load(declare_medclip("swin"), folders["swin"])
    square = Image.new("L", (101, 101))
    square.paste(Image.fromarray(image[0]).convert("L"), (0, 15))
    pixels = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    expected = np.broadcast_to((pixels / 255 - MEAN) / STD, (1, 3, SIZE, SIZE))
    np.testing.assert_allclose(encoder.prepare_images(image).numpy(), expected, rtol=0, atol=1e-6)


def test_texts_equal_plain_modules(architecture: str, folders: dict[str, Path]):
    """Texts embed as the plain modules embed each alone; case is ignored, as published."""
    texts = ["", "lung", "Lung opacity", "opacity lung opacity lung opacity"]
    encoder = load(declare_medclip(architecture), folders[architecture])
    expected = torch.stack([plain(architecture).text(tokens_of(text)) for text in texts])
    found = encoder.text.encode_texts(texts)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=TOLERANCE)
    assert encoder.text.token_counts(texts).tolist() == [2, 3, 4, 7]
    assert encoder.text.context_length == CONTEXT


@pytest.mark.parametrize(
    ("stored", "scale"), [(math.log(1 / 0.07), 1 / 0.07), (9.0, 100.0), (-1.0, 1.0)]
)
def test_logit_scale_is_bounded(
    stored: float, scale: float, folders: dict[str, Path], copy_of: Copy
):
    """The exponential of the stored number, between 1 and 100 as MedCLIP's code bounds it."""
    folder = copy_of(folders["swin"])
    change_state(
        folder / "pytorch_model.bin", lambda state: state.update(logit_scale=torch.tensor([stored]))
    )
    encoder = load(declare_medclip("swin"), folder)
    assert encoder.text.logit_scale == pytest.approx(scale, rel=1e-4)


def test_published_names_are_those_transformers_knows(folders: dict[str, Path], tmp_path: Path):
    """transformers itself reads the Swin's tensors by the names used here, all of them."""
    from safetensors.torch import save_file
    from transformers import SwinModel

    prefix = "vision_model.model."
    state = torch.load(folders["swin"] / "pytorch_model.bin", weights_only=True)
    tensors = {
        name.removeprefix(prefix): tensor.contiguous()
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
    write_swin_files(tmp_path)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    swin, report = SwinModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    images = generated_images(3, SIZE, SIZE, 1)
    with torch.inference_mode():
        pooled = swin.eval()(padded(np.repeat(images, 3, axis=3))).pooler_output
        expected = pooled @ state["vision_model.projection_head.weight"].T
    found = load(declare_medclip("swin"), folders["swin"]).encode_images(images)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=TOLERANCE)


def test_preparation_may_be_another(folders: dict[str, Path]):
    """A manifest may declare CLIP's preparation, as published evaluations of MedCLIP do."""
    declared = preprocessing()
    images = generated_images(2, SIZE, SIZE, 3)
    manifest = declare_medclip("swin", preprocessing=declared)
    encoder = load(manifest, folders["swin"])
    once = (images / 255 - declared["mean"]) / declared["std"]
    found = encoder.prepare_images(images).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, once, rtol=0, atol=1e-5)
    own = identity(declare_medclip("swin"), folders["swin"])
    assert identity(manifest, folders["swin"]) != own


def test_files_of_the_hub_cache(folders: dict[str, Path], hub_cache: Put, tmp_path: Path):
    """Configurations and vocabulary may lie in the hub cache, the weights be a bare file."""
    manifest = declare_medclip("swin")
    shutil.copy(folders["swin"] / "pytorch_model.bin", tmp_path / "weights.bin")
    hub_cache(SWIN_REPOSITORY, folders["swin"] / "tiny-swin")
    hub_cache(BERT_REPOSITORY, folders["swin"] / "tiny-bert")
    assert identity(manifest, tmp_path / "weights.bin") == identity(manifest, folders["swin"])
    encoder = load(manifest, tmp_path / "weights.bin")
    assert encoder.text.encode_texts(["lung"]).shape == (1, encoder.width)


@pytest.mark.parametrize(
    ("part", "content"),
    [("tiny-swin/config.json", "window_size"), ("tiny-bert/config.json", "hidden_act")],
)
def test_identity_follows_the_files(
    part: str, content: str, folders: dict[str, Path], copy_of: Copy
):
    """A setting that changes embeddings changes the identity; a label or a version does not."""
    manifest, folder = declare_medclip("swin"), copy_of(folders["swin"])
    before = identity(manifest, folder)
    path = folder / part
    change_json(path, transformers_version="9", id2label={"0": "b"})
    assert identity(manifest, folder) == before
    change_json(path, **{content: "other"})
    assert identity(manifest, folder) != before


@pytest.mark.usefixtures("hub_cache")
def test_everything_missing_is_named_at_once(tmp_path: Path):
    """The error names every file, where it is published and where it may lie."""
    (tmp_path / "empty").mkdir()
    for given in (None, tmp_path / "empty"):
        with pytest.raises(MissingInputError) as caught:
            identity(declare_medclip("swin"), given)
        for part in (
            "tiny-medclip-swin",
            "pytorch_model.bin, published in https://some-lab.example/m.zip",
            'config.json with "model_type": "swin"',
            'config.json with "model_type": "bert"',
            "tokenizer.json or vocab.txt",
            "--weights DIR",
            f"hf download {SWIN_REPOSITORY} config.json",
            f"hf download {BERT_REPOSITORY} config.json tokenizer.json vocab.txt",
        ):
            assert part in str(caught.value), part


def test_weights_of_another_model(folders: dict[str, Path], copy_of: Copy):
    """Missing, unexpected and ill-shaped tensors are all named, with the file and the encoder."""
    folder = copy_of(folders["swin"])

    def damage(state):
        state["vision_model.extra"] = state.pop("vision_model.projection_head.weight")
        name = "text_model.projection_head.weight"
        state[name] = state[name][:, :8].clone()

    change_state(folder / "pytorch_model.bin", damage)
    with pytest.raises(DataError) as caught:
        load(declare_medclip("swin"), folder)
    message = str(caught.value)
    for part in (
        str(folder / "pytorch_model.bin"),
        "tiny-medclip-swin",
        "missing: vision_model.projection_head.weight",
        "1 unexpected: vision_model.extra",
        "text_model.projection_head.weight is (16, 8) instead of (16, 24)",
    ):
        assert part in message, part


def test_weights_of_the_other_tower(folders: dict[str, Path], copy_of: Copy):
    """The two archives hold files of the same name: the wrong one is refused."""
    folder = copy_of(folders["swin"])
    with pytest.raises(DataError, match=r"do not fit tiny-medclip-resnet50: .*missing: .*conv1"):
        load(declare_medclip("resnet50"), folder)


def test_archives_are_unpacked_first(tmp_path: Path):
    """The archive itself is refused with what to do."""
    path = tmp_path / "medclip-vit-pretrained.zip"
    path.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"pretrained.zip: .*unpack an archive first"):
        identity(declare_medclip("swin"), path)


@pytest.mark.parametrize(
    ("part", "setting", "fault"),
    [
        ("tiny-swin", {"image_size": 224}, "image_size is 224, the manifest says 64"),
        ("tiny-bert", {"max_position_embeddings": 8}, "max_position_embeddings is 8"),
        ("tiny-bert", {"num_hidden_layers": 1}, "num_hidden_layers is 1"),
    ],
)
def test_configurations_of_another_encoder(
    part: str, setting: dict[str, int], fault: str, folders: dict[str, Path], copy_of: Copy
):
    """Configurations that disagree with the manifest are refused before any model is built."""
    folder = copy_of(folders["swin"])
    change_json(folder / part / "config.json", **setting)
    with pytest.raises(DataError, match=fault):
        identity(declare_medclip("swin"), folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "vision-only", "text": None},
        {"weights": {"architecture": "ViT-B-16"}},
        {"weights": {"repository": "some-lab/some-model"}},
    ],
)
def test_unknown_architectures(changes: dict[str, object], folders: dict[str, Path]):
    """A manifest of another architecture, or without text, is refused with what there is."""
    with pytest.raises(DataError, match="is vision-language and has the architecture swin"):
        identity(declare_medclip("swin", **changes), folders["swin"])


def test_impossible_configuration(folders: dict[str, Path], copy_of: Copy):
    """A configuration that transformers cannot build is one error naming the folder."""
    folder = copy_of(folders["swin"])
    path = folder / "tiny-bert" / "config.json"
    path.write_text(json.dumps(BERT | {"hidden_size": 25, "vocab_size": 60}))
    with pytest.raises(DataError, match=rf"{folder}: its configurations are no tiny-medclip-swin"):
        load(declare_medclip("swin"), folder)


@pytest.mark.parametrize("name", ["medclip-vit", "medclip-rn50"])
def test_shipped_manifests(name: str):
    """The shipped manifests declare MedCLIP's own preparation and context length."""
    manifest = shipped(name)
    assert manifest.id == name
    assert manifest.preprocessing.resize_mode == "pad-gray"
    assert manifest.preprocessing.mean == (MEAN,) * 3
    assert manifest.preprocessing.std == (STD,) * 3
    assert (manifest.width, manifest.input_size, manifest.text.context_length) == (512, 224, 77)
