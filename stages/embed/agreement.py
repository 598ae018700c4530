"""Whether what the files of a model state is what its manifest declares."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pipeline.errors import DataError
from stages.embed.schema import EncoderManifest, Preprocessing, Weights

Stated: TypeAlias = tuple[str, object, object]
"""Name of a field, what a file says, what the manifest says."""


def check_stated(
    manifest: EncoderManifest, model: Mapping[str, Any], preparation: Mapping[str, Any], where: str
) -> None:
    """Raise unless all that open_clip's configuration states is what the manifest declares.

    What is not stated there is taken from the manifest.
    """
    vision, text = model.get("vision_cfg"), model.get("text_cfg")
    if not isinstance(vision, dict) or not isinstance(text, dict):
        message = f"{where}: has no vision_cfg and text_cfg"
        raise DataError(message)
    declared = manifest.preprocessing
    pairs: list[Stated] = [
        ("embed_dim", model.get("embed_dim"), manifest.width),
        ("quick_gelu", model.get("quick_gelu"), (manifest.weights or Weights()).quick_gelu),
        ("image_size", _side(vision.get("image_size")), manifest.input_size),
        ("size", _side(preparation.get("size")), manifest.input_size),
    ]
    if declared is not None:
        pairs += [(name, preparation.get(name), value) for name, value in _prepared(declared)]
    if manifest.text is not None:
        kind = "hugging-face" if text.get("hf_tokenizer_name") else "clip"
        pairs.append(("tokenizer", kind, manifest.text.tokenizer))
        pairs.append(("context_length", text.get("context_length"), manifest.text.context_length))
        if manifest.text.projection is not None:
            pairs.append(("hf_proj_type", text.get("hf_proj_type"), manifest.text.projection))
    require_agreement(manifest, where, [pair for pair in pairs if pair[1] is not None])


def require_agreement(manifest: EncoderManifest, where: str, pairs: Iterable[Stated]) -> None:
    """Raise `DataError` unless the file `where` states what the manifest does in all `pairs`."""
    faults = [
        f"{name} is {_shown(stated)}, the manifest says {_shown(value)}"
        for name, stated, value in pairs
        if not _same(stated, value)
    ]
    if faults:
        message = f"{where}: is not the encoder {manifest.id}: {'; '.join(faults)}"
        raise DataError(message)


def _prepared(declared: Preprocessing) -> list[tuple[str, object]]:
    """Return the declared preprocessing by open_clip's names."""
    return [
        ("mean", list(declared.mean)),
        ("std", list(declared.std)),
        ("interpolation", declared.interpolation),
        ("resize_mode", declared.resize_mode),
        ("fill_color", declared.fill),
    ]


def _side(size: object) -> object:
    """Return the side of a square size, which open_clip also writes as a pair."""
    if isinstance(size, list) and len(size) == 2 and size[0] == size[1]:
        return size[0]
    return size


def _same(stated: object, declared: object) -> bool:
    if isinstance(stated, list) and isinstance(declared, list):
        return len(stated) == len(declared) and all(map(_same, stated, declared))
    if isinstance(stated, float) and isinstance(declared, int | float):
        return math.isclose(stated, declared, rel_tol=1e-6)
    return stated == declared


def _shown(value: object) -> str:
    return json.dumps(value)
