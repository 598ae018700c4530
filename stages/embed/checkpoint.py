"""Checkpoints in open_clip's layout: which files they consist of and what those files state.

Everything here reads small files only and works without torch, so that a recipe key can be
computed, and a missing file named, before any model library is loaded.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pipeline.errors import DataError, MissingInputError
from stages.embed.agreement import check_stated
from stages.embed.hub import Place, cache_folder
from stages.embed.schema import EncoderManifest, Weights

CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names of the weights file in open_clip's layout, the preferred first."""
SUFFIXES: Final = frozenset({".safetensors", ".bin", ".pt", ".pth"})
VOCABULARIES: Final = (
    ("tokenizer.json",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("tokenizer.model",),
    ("sentencepiece.bpe.model",),
    ("spiece.model",),
)
"""The files, one group of them, that hold a Hugging Face tokenizer; the preferred group first."""
TEXT_TOWERS: Final = frozenset({"bert", "roberta", "xlm-roberta", "mt5", "m2m_100"})
"""Model types that open_clip takes as text tower: tells their config.json from other ones."""
_BPE: Final = "bpe_simple_vocab_16e6.txt.gz"
_PATHS: Final = frozenset(
    {"hf_model_name", "hf_tokenizer_name", "hf_model_pretrained", "timm_model_pretrained"}
)
"""Fields of open_clip's configuration that say where to download from, not what to compute."""

Config = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """The files of one open_clip model on this machine."""

    weights: Path
    """The state dict."""
    model: Config
    """open_clip's model configuration: embed_dim, vision_cfg, text_cfg and what else it states."""
    text_config: Path | None
    """config.json of a Hugging Face text tower."""
    tokenizer: tuple[Path, ...]
    """Vocabulary files, all in one folder; empty where texts are not read."""


def find_checkpoint(manifest: EncoderManifest, given: Path | None) -> Checkpoint:
    """Return the files of the encoder, from `given` (folder or weights file) or the hub cache.

    Raises
    ------
    MissingInputError
        Naming every missing file at once.
    DataError
        If the configuration beside the weights cannot be read or disagrees with the manifest.
    """
    declared = manifest.weights or Weights()
    place = _place(manifest, declared, given)
    missing: list[str] = []
    bare = given is not None and given.is_file()
    weights = given if bare else weights_in(place, declared.file)
    if weights is None:
        missing.append(f"{declared.file or ' or '.join(WEIGHTS)} of {place}")
    base = Place(repository=declared.base)
    # A bare file is complete where its architecture is named; others need what lies beside it.
    beside = None if bare and declared.base is None else place.find(CONFIG)
    model = _model_config(manifest, declared, beside or base.find(CONFIG))
    if model is None:
        missing.append(f"{CONFIG} of {f'{place} or {base}' if declared.base else place}")
    text_config, tokenizer = _text_files(manifest, model, place, missing)
    if missing or weights is None or model is None:
        raise MissingInputError(_advice(manifest, declared, given, missing))
    model["quick_gelu"] = declared.quick_gelu
    return Checkpoint(weights, model, text_config, tokenizer)


def architecture_of(model: Config, text_config: Path | None) -> Config:
    """Return what the configuration says about computing, without names to download from."""
    kept = {
        key: {name: item for name, item in value.items() if name not in _PATHS}
        if isinstance(value, Mapping)
        else value
        for key, value in model.items()
    }
    if text_config is not None:
        text = read_json(text_config)
        kept["text_model"] = {
            key: value for key, value in text.items() if key not in _UNUSED_TEXT_FIELDS
        }
    return kept


_UNUSED_TEXT_FIELDS: Final = frozenset({"_name_or_path", "transformers_version", "architectures"})


def clip_vocabulary() -> Path:
    """Return CLIP's byte-pair encoding table, which open_clip brings along."""
    return open_clip_folder() / _BPE


def _place(manifest: EncoderManifest, declared: Weights, given: Path | None) -> Place:
    if given is None:
        if declared.repository is None:
            place = f"published at {declared.url}" if declared.url else "not published"
            message = f"{manifest.id}: its weights are {place}; give them by --weights DIR"
            raise MissingInputError(message)
        return Place(repository=declared.repository, revision=declared.revision)
    if given.is_dir():
        return Place(folder=given)
    if not given.is_file():
        message = f"{manifest.id}: --weights {given}: no such file or folder"
        raise MissingInputError(message)
    if given.suffix not in SUFFIXES:
        message = f"{given}: weights are a folder or a file of {', '.join(sorted(SUFFIXES))}"
        raise DataError(message)
    if declared.architecture is None and declared.base is None:
        message = (
            f"{given}: the manifest of {manifest.id} names no open_clip architecture, so a bare "
            f"weights file is not enough; give the folder that also holds {CONFIG}"
        )
        raise DataError(message)
    return Place(folder=given.parent)


def weights_in(
    place: Place, file: str | None = None, names: tuple[str, ...] = WEIGHTS
) -> Path | None:
    """Return the weights file that is here: `file` by path or name, else the first of `names`.

    A folder's only file with a suffix of weights is taken whatever its name.
    """
    if file is not None:
        names = (file, PurePosixPath(file).name)
    if (usual := place.find_first(names)) or place.folder is None:
        return usual
    others = sorted(path for path in place.folder.iterdir() if path.suffix in SUFFIXES)
    return others[0] if len(others) == 1 else None


def _model_config(
    manifest: EncoderManifest, declared: Weights, config_file: Path | None
) -> Config | None:
    """Return the model configuration, from its file or by the architecture's name."""
    if config_file is not None:
        whole = read_json(config_file)
        model = whole.get("model_cfg")
        if not isinstance(model, dict):
            message = f"{config_file}: has no model_cfg, so it is no {CONFIG}"
            raise DataError(message)
        check_stated(manifest, model, whole.get("preprocess_cfg") or {}, str(config_file))
        return model
    if declared.architecture is None:
        return None
    built_in = open_clip_folder() / "model_configs" / f"{declared.architecture}.json"
    if not built_in.is_file():
        message = f"{manifest.id}: this open_clip has no architecture {declared.architecture!r}"
        raise DataError(message)
    model = _with_declared_text(manifest, read_json(built_in))
    check_stated(manifest, model, {}, f"open_clip's {declared.architecture}")
    return model


def _with_declared_text(manifest: EncoderManifest, model: Config) -> Config:
    """Return the configuration with the text tower that the manifest declares, if it does."""
    text = manifest.text
    if text is None or text.projection is None:
        return model
    tower = {
        "hf_model_name": text.repository,
        "hf_tokenizer_name": text.repository,
        "hf_proj_type": text.projection,
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": text.context_length,
    }
    return model | {"text_cfg": tower}


def _text_files(
    manifest: EncoderManifest, model: Config | None, place: Place, missing: list[str]
) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the text tower's configuration and vocabulary files, adding to `missing`."""
    text = (model or {}).get("text_cfg", {})
    named = [text.get("hf_model_name"), text.get("hf_tokenizer_name")]
    declared = manifest.text
    if declared is not None and declared.tokenizer == "hugging-face":
        named.append(declared.repository)
    places = [place, *(_named(place, name) for name in dict.fromkeys(filter(None, named)))]
    sources = " or ".join(map(str, places))
    text_config: Path | None = None
    tokenizer: tuple[Path, ...] = ()
    if any(named[:1]) or (model is None and any(named)):
        text_config = next((path for other in places if (path := _tower_config(other))), None)
        if text_config is None:
            missing.append(f"config.json (the text model's) of {sources}")
    if declared is not None and declared.tokenizer == "hugging-face":
        tokenizer = next((files for other in places if (files := vocabulary_in(other))), ())
        if not tokenizer:
            missing.append(f"tokenizer.json or vocab.txt of {sources}")
    return text_config, tokenizer


def _named(place: Place, name: str) -> Place:
    """Return the place that open_clip's configuration names: a folder or a repository."""
    base = place.folder or Path()
    if name.startswith(("/", "./", "../")):
        return Place(folder=base / name)
    return Place(repository=name)


def _tower_config(place: Place) -> Path | None:
    """Return config.json if it is that of a text tower, not of timm or of a whole model."""
    path = place.find("config.json")
    return path if path and read_json(path).get("model_type") in TEXT_TOWERS else None


def vocabulary_in(place: Place) -> tuple[Path, ...]:
    """Return the files of a Hugging Face tokenizer that are here; empty where there are none."""
    for group in VOCABULARIES:
        found = [path for name in group if (path := place.find(name))]
        if len(found) == len(group):
            extra = place.find("tokenizer_config.json")
            return (*found, extra) if extra else tuple(found)
    return ()


def _advice(
    manifest: EncoderManifest, declared: Weights, given: Path | None, missing: list[str]
) -> str:
    """Return what is missing and where it can be put."""
    where = f"in {given}" if given is not None else f"in the hub cache {cache_folder()}"
    lines = [f"{manifest.id}: weights are missing {where}; needed:"]
    lines += [f"  - {item}" for item in missing]
    text = manifest.text.repository if manifest.text is not None else None
    # A repository with several models is not fetched whole.
    own = " ".join(filter(None, (declared.repository, declared.file)))
    repositories = [name for name in (own, declared.base, text) if name]
    if given is None:
        lines.append("put them all into one folder and give that: --weights DIR")
    lines += [f"where there is a network: hf download {name}" for name in repositories]
    return "\n".join(lines)


def open_clip_folder() -> Path:
    """Return the folder of the installed open_clip, without importing it."""
    found = importlib.util.find_spec("open_clip")
    if found is None or not found.submodule_search_locations:
        message = "the package open_clip_torch is not installed"
        raise MissingInputError(message)
    return Path(found.submodule_search_locations[0])


def read_json(path: Path) -> Config:
    """Return the JSON object in a file, or raise `DataError` naming it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        message = f"{path}: cannot be read as JSON: {error}"
        raise DataError(message) from error
    if not isinstance(document, dict):
        message = f"{path}: is not a JSON object"
        raise DataError(message)
    return document
