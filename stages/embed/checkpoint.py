"""Checkpoints in open_clip's layout: which files they consist of and what those files state.

Everything here reads small files only and works without torch, so that a recipe key can be
computed, and a missing file named, before any model library is loaded.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pipeline.errors import DataError, MissingInputError
from stages.embed.agreement import check_stated
from stages.embed.hub import ARCHIVE_SUFFIX, WEIGHTS_SUFFIXES, Place, downloaded_folder
from stages.embed.schema import EncoderManifest, Weights
from stages.embed.wanted import WantedFile, around, require

CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names of the weights file in open_clip's layout, the preferred first."""
VOCABULARIES: Final = (
    ("tokenizer.json",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("tokenizer.model",),
    ("sentencepiece.bpe.model",),
    ("spiece.model",),
)
"""The files, one group of them, that hold a Hugging Face tokenizer; the preferred group first."""
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
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
    if given is None and (place := weights_place(declared, given)) == Place():
        require(manifest, [wanted_weights(declared, place, given, WEIGHTS)])
    wanted, model = _look(manifest, given)
    require(manifest, wanted)
    found = {one.role: one.present for one in wanted}
    config = {**(model or {}), "quick_gelu": declared.quick_gelu}
    text_config = found.get("text configuration", (None,))[0]
    return Checkpoint(found["weights"][0], config, text_config, found.get("vocabulary", ()))


def checkpoint_files(manifest: EncoderManifest, given: Path | None) -> tuple[WantedFile, ...]:
    """Return the files that `find_checkpoint` looks for, present or missing.

    While the configuration is missing, a text tower that only it names is not among them.

    Raises
    ------
    MissingInputError, DataError
        If `given` cannot hold them, or a configuration cannot be read or disagrees.
    """
    return _look(manifest, given)[0]


def _look(
    manifest: EncoderManifest, given: Path | None
) -> tuple[tuple[WantedFile, ...], Config | None]:
    """Return the wanted files and the model configuration, none while that is missing."""
    declared = manifest.weights or Weights()
    check_given(manifest, given)
    bare = given is not None and given.is_file()
    if bare and declared.architecture is None and declared.base is None:
        message = (
            f"{given}: the manifest of {manifest.id} names no open_clip architecture, so a bare "
            f"weights file is not enough; give the folder that also holds {CONFIG}"
        )
        raise DataError(message)
    place = weights_place(declared, given)
    weights = wanted_weights(declared, place, given, WEIGHTS)
    # A bare file is complete where its architecture is named; others need what lies beside it.
    beside = [] if bare and declared.base is None else [*around(place, declared.base)]
    config = next((path for other in beside if (path := other.find(CONFIG))), None)
    model = _model_config(manifest, declared, config)
    wanted = [weights]
    if config is not None or model is None:
        present = () if config is None else (config,)
        wanted.append(
            WantedFile(
                "configuration", CONFIG, ((CONFIG,),), (*around(place, declared.base),), present
            )
        )
    return (*wanted, *_text_files(manifest, model, place)), model


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


def check_given(manifest: EncoderManifest, given: Path | None) -> None:
    """Raise unless `--weights`, if it was given, is a folder or a file of weights."""
    if given is None or given.is_dir():
        return
    if not given.is_file():
        message = f"{manifest.id}: --weights {given}: no such file or folder"
        raise MissingInputError(message)
    if given.suffix not in WEIGHTS_SUFFIXES:
        message = (
            f"{given}: weights are a folder or a file of {', '.join(sorted(WEIGHTS_SUFFIXES))}; "
            "unpack an archive first"
        )
        raise DataError(message)


def weights_place(declared: Weights, given: Path | None) -> Place:
    """Return where the weights are looked for: by `--weights`, else as they are published."""
    if given is not None:
        return Place(folder=given if given.is_dir() else given.parent)
    if declared.repository is None:
        return Place(folder=downloaded_folder(declared.url))
    return Place(repository=declared.repository, revision=declared.revision)


def wanted_weights(
    declared: Weights, place: Place, given: Path | None, usual: tuple[str, ...]
) -> WantedFile:
    """Return the weights file; `usual` are its names where the manifest declares none."""
    bare = given if given is not None and given.is_file() else None
    found = bare or weights_in(place, declared.file, usual)
    names = (declared.file,) if declared.file else usual
    title = " or ".join(names)
    if declared.repository is None and declared.url is not None:
        title = f"{names[0]}, published in {declared.url}"
        title += " (unpack it)" if declared.url.endswith(ARCHIVE_SUFFIX) else ""
    return WantedFile(
        "weights",
        title,
        tuple((name,) for name in names),
        () if place == Place() else (place,),
        () if found is None else (found,),
        url=declared.url,
        sha256=declared.sha256,
    )


def weights_in(
    place: Place, file: str | None = None, names: tuple[str, ...] = WEIGHTS
) -> Path | None:
    """Return the weights file that is here: `file` by path or name, else the first of `names`.

    A folder's only file with a suffix of weights is taken whatever its name.
    """
    if file is not None:
        names = (file, PurePosixPath(file).name)
    usual = place.find_first(names)
    if usual or place.folder is None or not place.folder.is_dir():
        return usual
    others = sorted(path for path in place.folder.iterdir() if path.suffix in WEIGHTS_SUFFIXES)
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
    manifest: EncoderManifest, model: Config | None, place: Place
) -> Iterator[WantedFile]:
    """Yield the text tower's configuration and vocabulary, as far as they are wanted."""
    text = (model or {}).get("text_cfg", {})
    named = [text.get("hf_model_name"), text.get("hf_tokenizer_name")]
    declared = manifest.text
    reads_files = declared is not None and declared.tokenizer == "hugging-face"
    if declared is not None and reads_files:
        named.append(declared.repository)
    places = list(around(place))
    for name in dict.fromkeys(filter(None, named)):
        places += _named(place, name)
    places = list(dict.fromkeys(places))
    if any(named[:1]) or (model is None and any(named)):
        found = next((path for other in places if (path := _tower_config(other))), None)
        title = "config.json (the text model's)"
        present = () if found is None else (found,)
        yield WantedFile("text configuration", title, (("config.json",),), tuple(places), present)
    if reads_files:
        yield wanted_vocabulary(places, VOCABULARIES)


def wanted_vocabulary(places: Sequence[Place], groups: tuple[tuple[str, ...], ...]) -> WantedFile:
    """Return the files of a Hugging Face tokenizer; `groups` are those it may consist of."""
    found = next((files for other in places if (files := vocabulary_in(other))), ())
    title = "tokenizer.json or vocab.txt"
    return WantedFile("vocabulary", title, groups, tuple(places), found, (TOKENIZER_CONFIG,))


def _named(place: Place, name: str) -> tuple[Place, ...]:
    """Return the places that a configuration names: a folder, or those of a repository."""
    base = place.folder or Path()
    if name.startswith(("/", "./", "../")):
        return (Place(folder=base / name),)
    return tuple(other for other in around(place, name) if other != place)


def _tower_config(place: Place) -> Path | None:
    """Return config.json if it is that of a text tower, not of timm or of a whole model."""
    path = place.find("config.json")
    return path if path and read_json(path).get("model_type") in TEXT_TOWERS else None


def vocabulary_in(place: Place) -> tuple[Path, ...]:
    """Return the files of a Hugging Face tokenizer that are here; empty where there are none."""
    for group in VOCABULARIES:
        found = [path for name in group if (path := place.find(name))]
        if len(found) == len(group):
            extra = place.find(TOKENIZER_CONFIG)
            return (*found, extra) if extra else tuple(found)
    return ()


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
