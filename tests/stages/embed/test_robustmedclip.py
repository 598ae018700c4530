"""The RobustMedCLIP loader against models whose adapters run beside the weights, un-merged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import DataError, MissingInputError
from stages.embed.loaders import loader
from stages.embed.testing import TEXTS, VisionLanguageContract, generated_images
from tests.stages.embed.checkpoints import TokenizerContract
from tests.stages.embed.tiny import MEAN, STD, Copy, Put, change_state, load, shipped
from tests.stages.embed.tiny_medclip import SIZE, tokens_of, write_text_files
from tests.stages.embed.tiny_robustmedclip import (
    FILE,
    RANK,
    PlainResNet,
    PlainViT,
    State,
    declare_resnet,
    declare_vit,
)

identity = loader("robustmedclip").identity
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def vit(bert_folder: Path) -> PlainViT:
    """Return the model whose weights `vit_folder` holds."""
    return PlainViT(bert_folder)


@pytest.fixture(scope="module")
def vit_folder(vit: PlainViT, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what is published of the tuned model, and BiomedCLIP's description."""
    folder = tmp_path_factory.mktemp("vit")
    for name in ("open_clip_config.json", "config.json", "vocab.txt", "tokenizer_config.json"):
        shutil.copy(bert_folder / name, folder)
    torch.save(vit.state(), folder / "model.pth")
    return folder


@pytest.fixture(scope="module")
def resnet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what is published of the tuned ResNet, and the text tower's files."""
    folder = tmp_path_factory.mktemp("resnet")
    write_text_files(folder / "tiny-bert")
    torch.save(PlainResNet().state(), folder / "model.pth")
    return folder


def published_adapters(state: State) -> State:
    """Return what the published code saves of the adapters: those of Q and V, by number."""
    adapters = {}
    for letter in "ab":
        wanted = [name for name in state if re.search(rf"linear_{letter}_[qv]", name)]
        for number, name in enumerate(wanted):
            adapters[f"w_{letter}_{number:03d}"] = state[name]
    return adapters | {"fc_64in_16out": torch.zeros(16, 64)}


class TestViT(TokenizerContract, VisionLanguageContract):
    """The tuned BiomedCLIP keeps the contracts."""

    needed = (
        ("model.pth", f"{FILE} of"),
        ("open_clip_config.json", "open_clip_config.json of"),
        ("config.json", "config.json (the text model's) of"),
        ("vocab.txt", "tokenizer.json or vocab.txt of"),
    )
    tokenizer = "tokenizer.json"

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, vit_folder):
        return declare_vit(), vit_folder


class TestResNet(TokenizerContract, VisionLanguageContract):
    """The tuned MedCLIP keeps the contracts."""

    needed = (
        ("model.pth", "model.pth"),
        ("tiny-bert/config.json", '"bert" of'),
        ("tiny-bert/vocab.txt", "or vocab.txt"),
    )
    tokenizer = "tiny-bert/tokenizer.json"

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, resnet_folder):
        return declare_resnet(), resnet_folder


def test_vit_equals_unmerged(vit: PlainViT, vit_folder: Path):
    """Adapters added into the weights give what they give when run beside them."""
    images = generated_images(3, 64, 64, 3)
    encoder = load(declare_vit(), vit_folder)
    found = encoder.encode_images(images)
    np.testing.assert_allclose(found, vit.images(images), rtol=0, atol=TOLERANCE)
    texts = encoder.text.encode_texts(TEXTS)
    np.testing.assert_allclose(texts, vit.texts(TEXTS), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("matrix", "qkv")
def test_every_adapter_counts(matrix: str, vit: PlainViT, vit_folder: Path, copy_of: Copy):
    """Each of query, key and value has its own third of the joint weights."""
    images = generated_images(2, 64, 64, 3)
    folder = copy_of(vit_folder)
    change_state(folder / "model.pth", zeroed(rf"linear_b_{matrix}"))
    found = load(declare_vit(), folder).encode_images(images)
    layers = [getattr(b.attn.qkv, f"linear_b_{matrix}") for b in vit.model.visual.trunk.blocks]
    kept = [layer.weight.detach().clone() for layer in layers]
    try:
        for layer in layers:
            nn.init.zeros_(layer.weight)
        expected = vit.images(images)
    finally:
        for layer, weight in zip(layers, kept, strict=True):
            layer.weight.data = weight
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    assert np.abs(found - vit.images(images)).max() > 10 * TOLERANCE


def test_resnet_equals_unmerged(resnet_folder: Path):
    """Adapters of convolutions, strided ones too, give what they give when run beside them."""
    images = generated_images(3, SIZE, SIZE, 3)
    encoder = load(declare_resnet(), resnet_folder)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    pixels = (torch.from_numpy(images).movedim(-1, 1) / 255 - mean) / std
    own = PlainResNet()
    found, expected = encoder.encode_images(images), own.images(pixels).numpy()
    # Fifty layers of float32, each rounded: relative to the largest component.
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * largest)
    text = own.text(tokens_of("lung opacity")).numpy()
    found = encoder.text.encode_texts(["lung opacity"])[0]
    np.testing.assert_allclose(found, text, rtol=0, atol=TOLERANCE)


def test_adapters_of_convolutions_count(resnet_folder: Path, copy_of: Copy):
    """Without them the embeddings differ, so the comparison above means something."""
    images = generated_images(2, SIZE, SIZE, 3)
    folder = copy_of(resnet_folder)
    change_state(folder / "model.pth", zeroed("linear_b"))
    found = load(declare_resnet(), folder).encode_images(images)
    own = load(declare_resnet(), resnet_folder).encode_images(images)
    assert np.abs(found - own).max() > 1e-2


def test_cosines_are_compared_as_they_are(vit_folder: Path, resnet_folder: Path):
    """The files hold no temperature, and the published code uses none."""
    assert load(declare_vit(), vit_folder).text.logit_scale == 1
    assert load(declare_resnet(), resnet_folder).text.logit_scale == 1


def test_safetensors(vit_folder: Path, resnet_folder: Path, tmp_path: Path):
    """The whole state dict as safetensors gives the same embeddings."""
    images = generated_images(2, SIZE, SIZE, 3)
    made = ((declare_vit(), vit_folder), (declare_resnet(), resnet_folder))
    for number, (manifest, folder) in enumerate(made):
        state = torch.load(folder / "model.pth", weights_only=True)
        # Safetensors keep no two names of one tensor.
        kept = {name: tensor for name, tensor in state.items() if ".w_" not in name}
        other = tmp_path / str(number)
        shutil.copytree(folder, other, ignore=shutil.ignore_patterns("*.pth", "*.safetensors"))
        save_file(kept, other / "tuned.safetensors")
        expected = load(manifest, folder).encode_images(images)
        np.testing.assert_array_equal(load(manifest, other).encode_images(images), expected)


@pytest.mark.parametrize("given", ["file", "folder"])
def test_published_adapters_lack_the_keys(
    given: str, vit: PlainViT, vit_folder: Path, copy_of: Copy
):
    """The published lora_weights.safetensors are refused, before torch is loaded, and why."""
    folder = copy_of(vit_folder)
    (folder / "model.pth").unlink()
    save_file(published_adapters(vit.state()), folder / "lora_weights.safetensors")
    weights = folder / "lora_weights.safetensors" if given == "file" else folder
    for use in (identity, load):
        with pytest.raises(DataError) as caught:
            use(declare_vit(), weights)
        message = str(caught.value)
        for part in (
            "lora_weights.safetensors: holds only adapters",
            "leave out the K matrices",
            "give the whole state dict, model.pth",
        ):
            assert part in message, part


def test_a_state_dict_without_keys(vit_folder: Path, copy_of: Copy):
    """A state dict that lacks the adapters of K only is refused with that explanation."""
    folder = copy_of(vit_folder)
    change_state(
        folder / "model.pth", lambda state: [state.pop(n) for n in list(state) if "_k.weight" in n]
    )
    with pytest.raises(DataError) as caught:
        load(declare_vit(), folder)
    message = str(caught.value)
    assert str(folder / "model.pth") in message
    assert "missing: lora_vit.lora_vit.trunk.blocks.0.attn.qkv.linear_a_k.weight" in message
    assert "The adapters of the keys (K) are missing" in message


def test_weights_that_were_not_tuned(bert_folder: Path):
    """BiomedCLIP's own weights are not taken for the tuned ones."""
    with pytest.raises(DataError, match=r"missing: lora_vit\.lora_vit.* unexpected: ") as caught:
        load(declare_vit(), bert_folder)
    assert "(K)" not in str(caught.value)


def test_another_rank(vit_folder: Path, resnet_folder: Path):
    """Adapters of another rank than the manifest's are refused by shape."""
    weights = declare_vit().weights.model_dump() | {"lora_rank": 8}
    with pytest.raises(DataError, match=r"linear_a_q.weight is \(4, 64\) instead of \(8, 64\)"):
        load(declare_vit(weights=weights), vit_folder)
    weights = declare_resnet().weights.model_dump() | {"lora_rank": 8}
    with pytest.raises(DataError, match=r"linear_a.weight is \(4, 3\) instead of \(8, 3\)"):
        load(declare_resnet(weights=weights), resnet_folder)


def test_a_convolution_without_adapter(resnet_folder: Path, copy_of: Copy):
    """Every convolution that is tuned has its adapter, named as in the file."""
    folder = copy_of(resnet_folder)
    name = "lora_resnet.lora_medclip.model.layer3.2.conv2.linear_b.weight"
    change_state(folder / "model.pth", lambda state: state.pop(name))
    with pytest.raises(DataError, match=rf"model.pth: .*-resnet: 1 of \d+ missing: {name}"):
        load(declare_resnet(), folder)


def test_truncated_safetensors(vit: PlainViT, vit_folder: Path, copy_of: Copy):
    """A damaged safetensors file is left to the reader of weights, which names it."""
    folder = copy_of(vit_folder)
    (folder / "model.pth").unlink()
    save_file(published_adapters(vit.state()), folder / "tuned.safetensors")
    whole = (folder / "tuned.safetensors").read_bytes()
    for length in (0, 4, 100):
        (folder / "tuned.safetensors").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"tuned.safetensors: cannot be read as weights"):
            load(declare_vit(), folder)


@pytest.mark.usefixtures("hub_cache")
def test_everything_missing_is_named_at_once():
    """The error names the file in its repository, and whose description is needed."""
    with pytest.raises(MissingInputError) as caught:
        identity(declare_vit(), None)
    for part in (
        f"{FILE} of some-lab/tiny-robust",
        "open_clip_config.json of some-lab/tiny-robust or some-lab/tiny-bert-clip",
        f"hf download some-lab/tiny-robust {FILE}",
        "hf download some-lab/tiny-bert-clip",
    ):
        assert part in str(caught.value), part
    weights = {"repository": "some-lab/tiny-robust", "file": FILE, "lora_rank": RANK}
    with pytest.raises(MissingInputError, match=rf"{FILE} of some-lab/tiny-robust"):
        identity(declare_resnet(weights={"architecture": "resnet50", **weights}), None)


def test_files_of_the_hub_cache(
    vit_folder: Path, bert_folder: Path, hub_cache: Put, tmp_path: Path
):
    """Weights lie in their repository, the description in that of the model that was tuned."""
    (tmp_path / "tuned" / FILE).parent.mkdir(parents=True)
    shutil.copy(vit_folder / "model.pth", tmp_path / "tuned" / FILE)
    hub_cache("some-lab/tiny-robust", tmp_path / "tuned")
    hub_cache("some-lab/tiny-bert-clip", bert_folder)
    hub_cache("some-lab/tiny-bert", bert_folder)
    expected = identity(declare_vit(), vit_folder)
    assert identity(declare_vit(), None) == expected
    assert identity(declare_vit(), vit_folder / "model.pth") == expected
    bare = tmp_path / "bare.pth"
    shutil.copy(vit_folder / "model.pth", bare)
    assert identity(declare_vit(), bare) == expected
    assert load(declare_vit(), bare).encode_images(generated_images(1, 64, 64, 3)).shape == (1, 16)


def test_adapters_are_part_of_the_identity(vit_folder: Path):
    """The identity says that adapters were added, and of which rank."""
    found = identity(declare_vit(), vit_folder)
    assert found["adapters"] == {"loader": 1, "rank": RANK}
    assert set(found) > {"loader", "weights", "architecture", "preprocessing", "tokenizer"}


def test_undeclared_rank(vit_folder: Path):
    """The rank is declared, not read off whatever the file holds."""
    weights = declare_vit().weights.model_dump() | {"lora_rank": None}
    with pytest.raises(DataError, match="declares no lora_rank"):
        identity(declare_vit(weights=weights), vit_folder)


def test_odd_input_sizes(resnet_folder: Path):
    """Where a strided convolution's centres are not the nearest pixels, nothing is merged."""
    with pytest.raises(DataError, match="input size is a multiple of 32, the manifest says 72"):
        load(declare_resnet(input_size=72), resnet_folder)


@pytest.mark.parametrize("name", ["robustmedclip-vit-b16", "robustmedclip-rn50"])
def test_shipped_manifests(name: str):
    """The shipped manifests declare the rank of the paper and the preparation of the tuning."""
    manifest = shipped(name)
    assert manifest.id == name
    assert manifest.weights.lora_rank == 16
    assert manifest.weights.file.endswith("best_model/model.pth")
    assert manifest.preprocessing == shipped("biomedclip").preprocessing


def zeroed(pattern: str) -> Callable[[State], None]:
    """Return an edit that sets tensors to zero by name."""

    def edit(state: State) -> None:
        for name in state:
            if re.search(pattern, name):
                state[name] = torch.zeros_like(state[name])

    return edit
