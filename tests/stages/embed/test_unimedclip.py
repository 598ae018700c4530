"""UniMed-CLIP: a CLIP image tower and a BERT in one training checkpoint, through open_clip."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from transformers import BertConfig, BertModel, BertTokenizerFast

from pipeline.digest import digest_file
from pipeline.errors import DataError, MissingInputError
from stages.embed import checkpoint as module
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.testing import TEXTS, VisionLanguageContract, generated_images
from tests.stages.embed.checkpoints import TokenizerContract
from tests.stages.embed.tiny import (
    CLIP_MODEL,
    MEAN,
    STD,
    TEXT_REPOSITORY,
    Put,
    Runs,
    declare_clip,
    load,
    shipped,
)
from tests.stages.embed.tiny_medclip import BERT, vocabulary, write_text_files

WIDTH, SIZE, CONTEXT = 16, 32, 24
ARCHITECTURE = "tiny-quickgelu"
WEIGHTS = {"architecture": ARCHITECTURE, "quick_gelu": True, "repository": "some-lab/tiny-unimed"}
NAME = "tiny-unimed.pt"
Tensors = dict[str, torch.Tensor]
identity = loader("open_clip").identity


def declare(**changes: object) -> EncoderManifest:
    """Return the manifest of the tiny model, with changes by field."""
    text = {
        "tokenizer": "hugging-face",
        "context_length": CONTEXT,
        "repository": TEXT_REPOSITORY,
        "projection": "mlp",
    }
    weights = WEIGHTS | {"file": NAME}
    return declare_clip(**{"id": "tiny-unimed", "weights": weights, "text": text} | changes)


class Plain:
    """The modules of open_clip and transformers, put together as the paper says."""

    def __init__(self, hidden: int = 24) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.visual = open_clip.CLIP(**CLIP_MODEL | {"quick_gelu": True}).visual.eval()
            config = BertConfig(vocab_size=len(vocabulary()), **BERT | {"hidden_size": hidden})
            self.bert = BertModel(config, add_pooling_layer=False).eval()
            middle = (hidden + WIDTH) // 2
            self.projection = nn.Sequential(
                nn.Linear(hidden, middle, bias=False),
                nn.GELU(),
                nn.Linear(middle, WIDTH, bias=False),
            )
            # As initialised, all biases are zero.
            for parameter in self.bert.parameters():
                if parameter.ndim == 1:
                    parameter.data += 0.05 * torch.randn_like(parameter)
        self.prepare = transforms.Compose(
            [
                transforms.Resize(SIZE, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(SIZE),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def images(self, images: np.ndarray) -> np.ndarray:
        """Return embeddings of images, one by one."""
        with torch.inference_mode():
            rows = [self.visual(self.prepare(Image.fromarray(image))[None]) for image in images]
        return torch.cat(rows).numpy()

    def texts(self, folder: Path) -> np.ndarray:
        """Return embeddings of `TEXTS`, each alone and without padding."""
        tokenizer = BertTokenizerFast.from_pretrained(folder, local_files_only=True)
        rows = []
        with torch.inference_mode():
            for text in TEXTS:
                words = " ".join(text.split())
                tokens = tokenizer(
                    words, max_length=CONTEXT, truncation=True, return_tensors="pt"
                ).input_ids
                first = self.bert(tokens).last_hidden_state[:, 0]
                rows.append(self.projection(first))
        return torch.cat(rows).numpy()

    def state(self) -> Tensors:
        """Return the tensors by the names of the published files."""
        text = "module.text_encoder"
        state = {"module.logit_scale": torch.tensor(1 / 0.07).log()}
        state |= {f"module.visual.{key}": value for key, value in self.visual.state_dict().items()}
        state |= {
            f"{text}.transformer.{key}": value for key, value in self.bert.state_dict().items()
        }
        state |= {
            f"{text}.proj.{key}": value for key, value in self.projection.state_dict().items()
        }
        # A counter that BERTs of former versions of transformers have.
        state[f"{text}.transformer.embeddings.position_ids"] = torch.arange(32)[None]
        return state


def write_checkpoint(path: Path, state: Tensors, **extras: object) -> Path:
    """Write what the training code saves: learning rates of the schedule are NumPy numbers."""
    rate: Any = 0.5 * (1 + np.cos(np.pi / 3)) * 4e-4
    assert type(rate) is np.float64
    step = {"step": torch.tensor(7.0), "exp_avg": torch.zeros(1000)}
    optimizer = {"state": {0: step}, "param_groups": [{"lr": rate, "params": [0]}]}
    scaler = {"scale": 65536.0, "_growth_tracker": 3}
    whole = {"epoch": 10, "name": "b16", "state_dict": state, "optimizer": optimizer}
    torch.save(whole | {"scaler": scaler} | extras, path)
    return path


@pytest.fixture(scope="module")
def plain() -> Plain:
    """Return the plain modules."""
    return Plain()


@pytest.fixture(scope="module", autouse=True)
def _known_architecture(tmp_path_factory: pytest.TempPathFactory):
    """Let the tiny image tower be known by name, as open_clip's built-in ones are."""
    package = tmp_path_factory.mktemp("package")
    (package / "model_configs").mkdir()
    known = json.dumps(CLIP_MODEL | {"quick_gelu": True})
    (package / "model_configs" / f"{ARCHITECTURE}.json").write_text(known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_clip_folder", lambda: package)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plain: Plain) -> Path:
    """Return a folder with the checkpoint and the text files beside it."""
    path = tmp_path_factory.mktemp("tiny-unimed")
    write_text_files(path)
    write_checkpoint(path / NAME, plain.state())
    return path


class TestTinyUniMed(TokenizerContract, VisionLanguageContract):
    """A training checkpoint of two towers keeps the contracts."""

    needed = (
        (NAME, f"{NAME} of"),
        ("config.json", "config.json (the text model's) of"),
        ("vocab.txt", "tokenizer.json or vocab.txt of"),
    )
    tokenizer = "tokenizer.json"

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls, folder):
        return declare(), folder

    def test_identity_loads_no_model_library(self, checkpoint):
        """Nor does that of an architecture which every process knows, as another is patched in."""
        known = WEIGHTS | {"architecture": "ViT-B-16-quickgelu", "file": NAME}
        manifest = declare(weights=known, width=512, input_size=224)
        super().test_identity_loads_no_model_library((manifest, checkpoint[1]))


@pytest.mark.parametrize("size", [28, 32, 70])
def test_images_equal_plain_modules(size: int, folder: Path, plain: Plain):
    """Image embeddings are those of the image tower on images prepared by torchvision."""
    images = generated_images(4, size, size + 9, 3)
    found = load(declare(), folder).encode_images(images)
    np.testing.assert_allclose(found, plain.images(images), rtol=0, atol=1e-5)


def test_texts_equal_plain_modules(folder: Path, plain: Plain):
    """Text embeddings are the projected first token of transformers' BERT, unpadded."""
    text = load(declare(), folder).text
    assert text.context_length == CONTEXT
    assert text.logit_scale == pytest.approx(1 / 0.07)
    assert text.token_counts(TEXTS).max() > CONTEXT
    np.testing.assert_allclose(text.encode_texts(TEXTS), plain.texts(folder), rtol=0, atol=1e-5)


def test_quick_gelu_is_used(folder: Path, plain: Plain):
    """The image tower computes with QuickGELU, which makes a difference."""
    images = generated_images(2, SIZE, SIZE, 3)
    ordinary = open_clip.CLIP(**CLIP_MODEL).visual.eval()
    ordinary.load_state_dict(plain.visual.state_dict())
    with torch.inference_mode():
        other = ordinary(torch.stack([plain.prepare(Image.fromarray(one)) for one in images]))
    found = load(declare(), folder).encode_images(images)
    assert np.abs(found - other.numpy()).max() > 1e-4


@pytest.mark.parametrize("place", ["file", "folder", "hub"])
def test_where_files_may_lie(
    place: str, folder: Path, hub_cache: Put, tmp_path: Path, plain: Plain
):
    """The checkpoint by itself, a folder or the hub cache: the same encoder, text files cached."""
    text, weights = tmp_path / "text", tmp_path / "weights"
    write_text_files(text)
    hub_cache(TEXT_REPOSITORY, text)
    weights.mkdir()
    path = write_checkpoint(weights / NAME, plain.state())
    if place == "hub":
        hub_cache("some-lab/tiny-unimed", weights)
    given = {"file": path, "folder": weights, "hub": None}[place]
    same = {"digest": lambda path: path.name}  # checkpoints of equal tensors may differ in bytes
    assert identity(declare(), given, **same) == identity(declare(), folder, **same)
    images = generated_images(2, SIZE, SIZE, 3)
    found, expected = (load(declare(), one).encode_images(images) for one in (given, folder))
    np.testing.assert_array_equal(found, expected)


def test_identity_holds_the_text_tower(folder: Path):
    """The key holds the towers, the projection, the vocabulary and the whole checkpoint."""
    found = identity(declare(), folder)
    assert found["architecture"]["text_cfg"] == {
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": CONTEXT,
    }
    assert found["architecture"]["quick_gelu"] is True
    assert found["architecture"]["text_model"]["hidden_size"] == 24
    assert found["weights"] == digest_file(folder / NAME)
    assert found["tokenizer"]["files"] == {"vocab.txt": digest_file(folder / "vocab.txt")}


def test_missing_files(hub_cache: Put):
    """The checkpoint and the BERT's files are all named at once, with where they come from."""
    del hub_cache  # empty
    with pytest.raises(MissingInputError) as caught:
        identity(declare(), None)
    message = str(caught.value)
    for part in (
        f"{NAME} of some-lab/tiny-unimed",
        f"config.json (the text model's) of some-lab/tiny-unimed or {TEXT_REPOSITORY}",
        "vocab.txt",
        f"hf download some-lab/tiny-unimed {NAME}",
        f"hf download {TEXT_REPOSITORY}",
    ):
        assert part in message


def test_weights_published_elsewhere():
    """Weights that are not on the Hub are asked for with the page that links to them."""
    weights = {"architecture": ARCHITECTURE, "url": "https://some-lab.example/models"}
    with pytest.raises(MissingInputError, match=r"some-lab.example/models; give .*--weights DIR"):
        identity(declare(weights=weights), None)


@pytest.mark.parametrize("former", [True, False], ids=["before numpy 2", "since"])
def test_numbers_beside_the_weights(former: bool, folder: Path, tmp_path: Path, plain: Plain):
    """NumPy numbers of the optimizer are read by the names of both major versions of NumPy."""
    path = write_checkpoint(tmp_path / NAME, plain.state())
    if former:
        rename(path, b"numpy._core.multiarray", b"numpy.core.multiarray")
    write_text_files(tmp_path)
    images = generated_images(2, SIZE, SIZE, 3)
    found, expected = (load(declare(), one).encode_images(images) for one in (tmp_path, folder))
    np.testing.assert_array_equal(found, expected)


def test_a_checkpoint_runs_nothing(tmp_path: Path, plain: Plain):
    """Beside the weights too, an object that would run code is refused, and does not run."""
    proof = tmp_path / "proof"
    write_text_files(tmp_path)
    write_checkpoint(tmp_path / NAME, plain.state(), arguments=Runs(proof))
    with pytest.raises(DataError, match=rf"{NAME}: cannot be read as weights .*unsafe"):
        load(declare(), tmp_path)
    assert not proof.exists()


def test_weights_of_another_text_tower(tmp_path: Path):
    """A checkpoint with a text tower of another width is refused by name and shape."""
    write_text_files(tmp_path)
    write_checkpoint(tmp_path / NAME, Plain(hidden=32).state())
    with pytest.raises(DataError) as caught:
        load(declare(), tmp_path)
    message = str(caught.value)
    assert f"{NAME}: these weights do not fit {ARCHITECTURE}" in message
    assert "text.transformer.embeddings.word_embeddings.weight is (60, 32) instead of" in message


def test_weights_of_a_plain_clip(tmp_path: Path):
    """A CLIP with its own text tower is refused: the expected and unexpected keys are named."""
    write_text_files(tmp_path)
    write_checkpoint(tmp_path / NAME, dict(open_clip.CLIP(**CLIP_MODEL).state_dict()))
    with pytest.raises(DataError) as caught:
        load(declare(), tmp_path)
    message = str(caught.value)
    assert "missing: text.transformer.embeddings.word_embeddings.weight" in message
    assert "unexpected: text.positional_embedding" in message


def test_weights_of_another_input_size(tmp_path: Path, plain: Plain):
    """Position embeddings of another size are refused; the published code resizes them."""
    state = plain.state()
    name = "module.visual.positional_embedding"
    state[name] = torch.zeros(37, 32)
    write_text_files(tmp_path)
    write_checkpoint(tmp_path / NAME, state)
    with pytest.raises(DataError, match=r"visual.positional_embedding is \(37, 32\) instead of"):
        load(declare(), tmp_path)


def test_a_described_text_tower_must_agree(folder: Path, tmp_path: Path):
    """A configuration beside the weights that states another projection is refused."""
    write_text_files(tmp_path)
    (tmp_path / NAME).write_bytes((folder / NAME).read_bytes())
    text = {"hf_model_name": "a/b", "hf_tokenizer_name": "a/b", "hf_proj_type": "linear"}
    stated = {"model_cfg": CLIP_MODEL | {"text_cfg": text}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(stated))
    with pytest.raises(DataError, match=r'hf_proj_type is "linear", the manifest says "mlp"'):
        load(declare(), tmp_path)


@pytest.mark.parametrize("changes", [{"repository": None}, {"tokenizer": "clip"}])
def test_a_projection_has_a_model(changes: dict[str, Any]):
    """A manifest that projects the output of no model is refused."""
    text = declare().text.model_dump() | changes
    with pytest.raises(ValueError, match="projects the model of a repository"):
        declare(text=text)


@pytest.mark.parametrize(
    ("name", "bert", "width", "size"),
    [
        ("unimedclip-vit-b16", "base", 512, 224),
        ("unimedclip-vit-l14", "base", 768, 336),
        ("unimedclip-vit-l14-large-text", "large", 768, 336),
    ],
)
def test_shipped_manifests(name: str, bert: str, width: int, size: int):
    """The shipped ones are open_clip's towers with QuickGELU, a BiomedBERT and 256 tokens."""
    manifest = shipped(name)
    vision = open_clip.get_model_config(manifest.weights.architecture)
    assert vision["quick_gelu"] is manifest.weights.quick_gelu is True
    assert vision["embed_dim"] == manifest.width == width
    assert vision["vision_cfg"]["image_size"] == manifest.input_size == size
    assert manifest.text.repository.endswith(f"BiomedBERT-{bert}-uncased-abstract")
    assert (manifest.text.context_length, manifest.text.projection) == (256, "mlp")
    assert manifest.preprocessing.mean == open_clip.OPENAI_DATASET_MEAN
    assert manifest.preprocessing.std == open_clip.OPENAI_DATASET_STD
    assert any("ChestMNIST" in collection for collection in manifest.pretraining_data)


def rename(path: Path, old: bytes, new: bytes) -> None:
    """Replace a name in the pickle of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in entries if name.endswith("/data.pkl"))
    assert old in entries[name]
    entries[name] = entries[name].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
