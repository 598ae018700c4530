"""Tiny randomly initialised checkpoints in the real on-disk layouts."""

from __future__ import annotations

import json
import shutil
import string
from pathlib import Path

import pytest

from tests.stages.embed.tiny import BERT_MODEL, CLIP_MODEL, Copy, Put, write_config


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Let torch compute on one thread: the threads of several test workers hold each other up."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in open_clip's layout, weights as safetensors."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    write_config(folder, CLIP_MODEL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = open_clip.CLIP(**CLIP_MODEL)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder laid out as BiomedCLIP's, with the BERT's config.json beside it."""
    import open_clip
    import torch
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("tiny-bert-clip")
    write_config(folder, BERT_MODEL)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lung", "##s", "opacity"]
    vocabulary += [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "tokenizer_class": "BertTokenizer"})
    )
    BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
    ).save_pretrained(folder)
    text = BERT_MODEL["text_cfg"] | {"hf_model_name": str(folder), "hf_model_pretrained": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = open_clip.CustomTextCLIP(**BERT_MODEL | {"text_cfg": text})
    state = dict(model.state_dict())
    # As the published file has it, though no present version of transformers expects it.
    state["text.transformer.embeddings.position_ids"] = torch.arange(32)[None]
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Copy:
    """Return a function that copies a folder, to be damaged."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    return copy


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Return a function that puts files into an otherwise empty hub cache, as one repository."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))

    def put(repository: str, files: Path) -> Path:
        folder = cache / f"models--{repository.replace('/', '--')}"
        commit = "0123456789abcdef0123456789abcdef01234567"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        return Path(shutil.copytree(files, folder / "snapshots" / commit))

    return put


@pytest.fixture
def architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of the tiny CLIP's architecture, known as open_clip's built-in ones are."""
    from stages.embed import checkpoint

    package = tmp_path / "package"
    (package / "model_configs").mkdir(parents=True)
    (package / "model_configs" / "tiny.json").write_text(json.dumps(CLIP_MODEL))
    shutil.copy(checkpoint.clip_vocabulary(), package)
    monkeypatch.setattr(checkpoint, "open_clip_folder", lambda: package)
    return "tiny"
