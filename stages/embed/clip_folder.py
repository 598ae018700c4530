"""Files of a Hugging Face CLIP, and whether they state what its manifest declares.

Works without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from stages.embed.agreement import Stated, require_agreement
from stages.embed.checkpoint import TOKENIZER_CONFIG, Config, read_json, wanted_vocabulary
from stages.embed.hub import Place
from stages.embed.model_folder import configuration, model_folder, wanted_file
from stages.embed.preparation import declared_preprocessing
from stages.embed.schema import EncoderManifest
from stages.embed.wanted import WantedFile, around, require

PREPROCESSORS: Final = ("preprocessor_config.json", "processor_config.json")
"""Names of the file that states the preprocessing, the preferred first."""
VOCABULARIES: Final = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
"""The files, one group of them, that hold the tokenizer; the preferred group first."""
_TOKENIZER_NOTES: Final = ("special_tokens_map.json", "added_tokens.json")
"""What older tokenizers state beside their vocabulary."""
_PREPARED: Final[Config] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": 224,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
"""What `CLIPImageProcessor` does where its file says nothing."""
_RESAMPLE: Final = {"2": "bilinear", "3": "bicubic"}
"""Pillow's numbers of the filters that a manifest can declare."""


@dataclass(frozen=True)
class ClipFiles:
    """The files of one model on this machine."""

    weights: Path
    """The state dict."""
    config: Config
    """What `config.json` states."""
    tokenizer: tuple[Path, ...]
    """Vocabulary files, all in one folder; empty where texts are not read."""


def find_clip(manifest: EncoderManifest, given: Path | None) -> ClipFiles:
    """Return the files of the encoder, from `given` (folder or weights file) or the hub cache.

    Raises
    ------
    MissingInputError
        Naming every missing file at once.
    DataError
        If a file cannot be read or disagrees with the manifest.
    """
    wanted = clip_files(manifest, given)
    require(manifest, wanted)
    found = {one.role: one.present for one in wanted}
    config = read_json(found["configuration"][0])
    return ClipFiles(found["weights"][0], config, found.get("vocabulary", ()))


def clip_files(manifest: EncoderManifest, given: Path | None) -> tuple[WantedFile, ...]:
    """Return the files that `find_clip` looks for, present or missing.

    Raises
    ------
    MissingInputError, DataError
        If `given` cannot hold them, or what is there disagrees with the manifest.
    """
    place, weights, config = model_folder(manifest, given)
    if config.present:
        stated = configuration(config, "model_type", "configuration of a CLIP")
        require_agreement(manifest, str(config.present[0]), _stated(manifest, stated))
    preprocessing = wanted_file("preprocessing", place, *PREPROCESSORS)
    if preprocessing.present:
        path = preprocessing.present[0]
        require_agreement(manifest, str(path), _prepared(manifest, path))
    wanted = (weights, config, preprocessing)
    return wanted if manifest.text is None else (*wanted, _vocabulary(manifest, place))


def _vocabulary(manifest: EncoderManifest, place: Place) -> WantedFile:
    repository = manifest.text.repository if manifest.text else None
    wanted = wanted_vocabulary(around(place, repository), VOCABULARIES)
    beside = (path.parent / name for path in wanted.present[:1] for name in _TOKENIZER_NOTES)
    return replace(
        wanted,
        title="tokenizer.json, or vocab.json and merges.txt,",
        present=(*wanted.present, *(path for path in beside if path.is_file())),
        extra=(TOKENIZER_CONFIG, *_TOKENIZER_NOTES),
    )


def _stated(manifest: EncoderManifest, config: Config) -> list[Stated]:
    """Return what `config.json` states, or means where it is silent, and the manifest."""
    vision, text = half(config, "vision"), half(config, "text")
    stated: list[Stated] = [
        ("model_type", config["model_type"], "clip"),
        ("projection_dim", config.get("projection_dim", 512), manifest.width),
        ("vision_config.image_size", vision.get("image_size", 224), manifest.input_size),
    ]
    if manifest.text is not None:
        most, length = text.get("max_position_embeddings", 77), manifest.text.context_length
        stated.append(("text_config.max_position_embeddings", most, length))
    return stated


def half(config: Config, name: str) -> Config:
    """Return the configuration of one tower, "vision" or "text".

    Older files write it in two places.
    """
    merged: Config = {}
    for key in (f"{name}_config", f"{name}_config_dict"):
        if isinstance(half := config.get(key), Mapping):
            merged |= half
    return merged


def _prepared(manifest: EncoderManifest, path: Path) -> list[Stated]:
    """Return what the image processor's file states, or means where it is silent, by name."""
    written = read_json(path)
    nested = written.get("image_processor")
    written = nested if isinstance(nested, dict) else written
    stated = _PREPARED | {key: value for key, value in written.items() if value is not None}
    declared = declared_preprocessing(manifest)
    resample = stated["resample"]
    kind = next(
        (str(stated[k]) for k in ("image_processor_type", "feature_extractor_type") if k in stated),
        "CLIPImageProcessor",
    )
    mode, resized, kept = _sizes(stated)
    return [
        ("image_processor_type", kind[:4], "CLIP"),
        ("resize_mode (do_resize, size, do_center_crop)", mode, declared.resize_mode),
        ("size", resized, math.floor(manifest.input_size / declared.crop)),
        ("crop_size", kept, manifest.input_size),
        ("resample", _RESAMPLE.get(str(resample), resample), declared.interpolation),
        ("do_rescale", stated["do_rescale"], True),
        ("rescale_factor", stated["rescale_factor"], 1 / 255),
        ("do_normalize", stated["do_normalize"], True),
        ("image_mean", stated["image_mean"], list(declared.mean)),
        ("image_std", stated["image_std"], list(declared.std)),
    ]


def _sizes(stated: Config) -> tuple[str | None, object, object]:
    """Return the resize mode, none if no manifest can declare it, and the sides before and after.

    That is, before and after the centre is cut out.
    """
    size, crops = stated["size"], stated["do_center_crop"]
    shortest = not isinstance(size, Mapping) or "shortest_edge" in size
    side = size["shortest_edge"] if isinstance(size, Mapping) and shortest else _side(size)
    kept = _side(stated["crop_size"]) if crops else side
    if not stated["do_resize"] or (shortest and not crops):
        return None, side, kept
    return "shortest" if shortest else "squash", side, kept


def _side(size: object) -> object:
    """Return the side of a square size, however it is written."""
    if isinstance(size, Mapping) and size.get("height") == size.get("width"):
        return size.get("height")
    return size
