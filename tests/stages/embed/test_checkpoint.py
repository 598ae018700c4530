"""Finding the files of an encoder, and what identifies it: without torch, without network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.digest import digest_file, digest_json
from pipeline.errors import DataError, MissingInputError
from stages.embed.loaders import loader
from tests.stages.embed.tiny import (
    CLIP_MODEL,
    TEXT_REPOSITORY,
    Copy,
    Put,
    declare_bert,
    declare_clip,
    load,
    loaded_by_identity,
    write_config,
)

identity = loader("open_clip").identity


def test_missing_files_load_no_model_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The error that files are missing needs neither torch nor Pillow."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert loaded_by_identity(declare_bert(), None) == "missing "


def test_hub_cache_is_as_good_as_a_folder(clip_folder: Path, hub_cache: Put):
    """Files in the hub cache identify the same encoder as the same files in a folder."""
    hub_cache("some-lab/tiny-clip", clip_folder)
    assert identity(declare_clip(), None) == identity(declare_clip(), clip_folder)
    encoder = load(declare_clip(), None)
    assert encoder.text.encode_texts(["lung"]).shape == (1, 16)


def test_text_tower_from_a_second_repository(bert_folder: Path, hub_cache: Put, tmp_path: Path):
    """As published, BiomedCLIP's repository lacks the BERT's config.json: it has its own."""
    whole = identity(declare_bert(), bert_folder)
    model, text = tmp_path / "model", tmp_path / "text"
    shutil.copytree(bert_folder, model)
    text.mkdir()
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        shutil.move(model / name, text / name)
    hub_cache("some-lab/tiny-bert-clip", model)
    hub_cache(TEXT_REPOSITORY, text)
    assert identity(declare_bert(), None) == whole
    assert identity(declare_bert(), model) == whole
    encoder = load(declare_bert(), None)
    assert encoder.text.encode_texts(["lung"]).shape == (1, 16)


def test_another_revision_is_not_taken(clip_folder: Path, hub_cache: Put):
    """A manifest that pins a revision does not take what the cache has of another."""
    hub_cache("some-lab/tiny-clip", clip_folder)
    pinned = declare_clip(weights={"repository": "some-lab/tiny-clip", "revision": "v2"})
    with pytest.raises(MissingInputError, match=r"some-lab/tiny-clip \(revision v2\)"):
        identity(pinned, None)


def test_weights_cached_without_configuration(
    clip_folder: Path, hub_cache: Put, tmp_path: Path, architecture: str
):
    """open_clip itself caches only the weights of a tag: the named architecture completes them."""
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(clip_folder / "open_clip_model.safetensors", only)
    hub_cache("some-lab/tiny-clip", only)
    weights = {"repository": "some-lab/tiny-clip", "architecture": architecture}
    manifest = declare_clip(weights=weights)
    assert identity(manifest, None) == identity(manifest, clip_folder)


@pytest.mark.usefixtures("hub_cache")
def test_everything_missing_is_named_at_once(hub_cache: Put, tmp_path: Path):
    """The error names every file, both repositories, the cache and the option."""
    with pytest.raises(MissingInputError) as caught:
        identity(declare_bert(), None)
    message = str(caught.value)
    assert caught.value.exit_code == 4
    for part in (
        "tiny-bert-clip",
        "open_clip_model.safetensors or",
        "open_clip_config.json of some-lab/tiny-bert-clip",
        f"config.json (the text model's) of some-lab/tiny-bert-clip or {TEXT_REPOSITORY}",
        f"tokenizer.json or vocab.txt of some-lab/tiny-bert-clip or {TEXT_REPOSITORY}",
        "--weights DIR",
        str(tmp_path / "hub"),
        "hf download some-lab/tiny-bert-clip",
        f"hf download {TEXT_REPOSITORY}",
    ):
        assert part in message, part


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize("model_type", ["clip", "timm", None])
def test_foreign_config_is_no_text_tower(model_type: str | None, bert_folder: Path, copy_of: Copy):
    """A config.json of timm or of a whole CLIP is not taken for the text tower's."""
    folder = copy_of(bert_folder)
    (folder / "config.json").write_text(
        json.dumps({"model_type": model_type} if model_type else {})
    )
    with pytest.raises(MissingInputError, match="the text model's"):
        identity(declare_bert(), folder)


def test_unpublished_weights():
    """An encoder without a repository asks for `--weights`."""
    with pytest.raises(MissingInputError, match="not published; give them by --weights DIR"):
        identity(declare_clip(weights={"architecture": "ViT-B-16"}), None)


def test_bare_weights_without_architecture(clip_folder: Path):
    """Bare weights whose architecture nobody names are refused: nothing is guessed."""
    path = clip_folder / "open_clip_model.safetensors"
    with pytest.raises(DataError, match=r"names no open_clip architecture.*open_clip_config.json"):
        identity(declare_clip(), path)


def test_unknown_architecture(clip_folder: Path):
    """An architecture that this open_clip does not have is named."""
    manifest = declare_clip(weights={"architecture": "ViT-Q-99"})
    with pytest.raises(DataError, match="no architecture 'ViT-Q-99'"):
        identity(manifest, clip_folder / "open_clip_model.safetensors")


def test_not_a_weights_file(clip_folder: Path):
    """A file of another kind is refused by its suffix."""
    with pytest.raises(DataError, match=r"a folder or a file of .bin, .pt, .pth, .safetensors"):
        identity(declare_clip(), clip_folder / "open_clip_config.json")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "has no model_cfg"),
        ('{"model_cfg": {"embed_dim": 16}}', "has no vision_cfg and text_cfg"),
    ],
)
def test_broken_configuration(content: str, fault: str, clip_folder: Path, copy_of: Copy):
    """A configuration that cannot be used is one error naming the file."""
    folder = copy_of(clip_folder)
    (folder / "open_clip_config.json").write_text(content)
    with pytest.raises(DataError, match=rf"open_clip_config.json: {fault}"):
        identity(declare_clip(), folder)


def test_disagreement_with_the_manifest(clip_folder: Path, copy_of: Copy):
    """All that the folder states otherwise than the manifest is listed at once."""
    folder = copy_of(clip_folder)
    model = CLIP_MODEL | {
        "embed_dim": 512,
        "quick_gelu": True,
        "vision_cfg": CLIP_MODEL["vision_cfg"] | {"image_size": [64, 64]},
        "text_cfg": CLIP_MODEL["text_cfg"] | {"context_length": 77, "hf_tokenizer_name": "a/b"},
    }
    write_config(folder, model, mean=[0.5, 0.5, 0.5], interpolation="bilinear")
    with pytest.raises(DataError) as caught:
        identity(declare_clip(), folder)
    message = str(caught.value)
    for part in (
        "is not the encoder tiny-clip",
        "embed_dim is 512, the manifest says 16",
        "quick_gelu is true, the manifest says false",
        "image_size is 64, the manifest says 32",
        "context_length is 77, the manifest says 12",
        'tokenizer is "hugging-face", the manifest says "clip"',
        "mean is [0.5, 0.5, 0.5], the manifest says [0.4, 0.5, 0.6]",
        'interpolation is "bilinear", the manifest says "bicubic"',
    ):
        assert part in message, part
    assert "std" not in message


def test_silent_folder_takes_the_manifests_word(clip_folder: Path, copy_of: Copy):
    """What the folder does not state comes from the manifest, never from a library's default."""
    folder = copy_of(clip_folder)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP_MODEL}))
    assert identity(declare_clip(), folder) == identity(declare_clip(), clip_folder)
    assert identity(declare_clip(), folder)["preprocessing"]["mean"] == [0.4, 0.5, 0.6]


def test_which_weights_file(clip_folder: Path, copy_of: Copy):
    """open_clip's own name comes first; any other name counts only where it is the only one."""
    folder = copy_of(clip_folder)
    weights = folder / "open_clip_model.safetensors"
    (folder / "model.safetensors").write_bytes(b"timm's image tower")
    assert identity(declare_clip(), folder)["weights"] == digest_file(weights)
    (folder / "model.safetensors").unlink()
    weights.rename(folder / "epoch_7.pt")
    assert identity(declare_clip(), folder)["weights"] == digest_file(folder / "epoch_7.pt")
    (folder / "epoch_8.pt").write_bytes(b"another")
    with pytest.raises(MissingInputError, match=r"open_clip_model\.safetensors"):
        identity(declare_clip(), folder)


def test_identity_is_of_content(bert_folder: Path, copy_of: Copy):
    """Where the files lie, what they are named after and what else lies there do not matter."""
    expected = identity(declare_bert(), bert_folder)
    folder = copy_of(bert_folder)
    (folder / "README.md").write_text("hello")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = str(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=4))
    text = json.loads((folder / "config.json").read_text())
    text |= {"_name_or_path": "elsewhere", "transformers_version": "0"}
    (folder / "config.json").write_text(json.dumps(text))
    renamed = declare_bert(id="other", title="Other", description="Same files.")
    assert identity(renamed, folder) == expected
    assert digest_json(expected) == digest_json(identity(declare_bert(), bert_folder))


@pytest.mark.parametrize(
    "changed",
    ["open_clip_pytorch_model.bin", "vocab.txt", "tokenizer_config.json", "config.json"],
)
def test_identity_changes_with_each_file(changed: str, bert_folder: Path, copy_of: Copy):
    """Other weights, vocabulary, tokenizer options or text model make another encoder."""
    folder = copy_of(bert_folder)
    path = folder / changed
    if path.suffix == ".json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"layer_norm_eps": 0.5}))
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    assert identity(declare_bert(), folder) != identity(declare_bert(), bert_folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"resize_mode": "squash"},
        {"interpolation": "bilinear"},
        {"fill": 7},
        {"normalised": 2},
    ],
    ids=str,
)
def test_identity_changes_with_preprocessing(changes: dict[str, object], clip_folder: Path):
    """Another preparation of the pixels makes another encoder."""
    declared = declare_clip().preprocessing.model_dump() | changes
    other = declare_clip(preprocessing=declared)
    assert identity(other, clip_folder) != identity(declare_clip(), clip_folder)


def test_identity_says_only_what_is_not_once(clip_folder: Path):
    """The key of an encoder whose pixels are normalised once does not speak of how often."""
    once = {
        "size": 32,
        "resize_mode": "shortest",
        "interpolation": "bicubic",
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.3],
        "fill": 0,
    }
    assert identity(declare_clip(), clip_folder)["preprocessing"] == once
    twice = declare_clip().preprocessing.model_dump() | {"normalised": 2}
    found = identity(declare_clip(preprocessing=twice), clip_folder)
    assert found["preprocessing"] == once | {"normalised": 2}


def test_identity_changes_with_the_activation(clip_folder: Path):
    """QuickGELU makes another encoder."""
    quick = declare_clip(weights={"repository": "some-lab/tiny-clip", "quick_gelu": True})
    assert identity(quick, clip_folder) != identity(declare_clip(), clip_folder)


def test_digests_may_be_remembered(clip_folder: Path):
    """Large files are digested by the function given, which may know the answer."""
    asked: list[str] = []

    def digest(path: Path) -> str:
        asked.append(path.name)
        return "remembered"

    found = loader("open_clip").identity(declare_clip(), clip_folder, digest=digest)
    assert found["weights"] == "remembered"
    assert asked == ["open_clip_model.safetensors", "bpe_simple_vocab_16e6.txt.gz"]
