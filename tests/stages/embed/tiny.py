"""Tiny checkpoints: their manifests, how they are loaded, and the architectures of open_clip."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.manifest import read_manifest
from stages.embed.encoder import Encoder
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
TEXT_REPOSITORY = "some-lab/tiny-bert"
ENCODERS = Path(__file__).parents[3] / "manifests" / "encoders"
Copy = Callable[[Path], Path]
"""Copies a folder, to be damaged."""
Put = Callable[[str, Path], Path]
"""Puts files into the hub cache, as one repository."""
Change = Callable[[dict[str, Any]], object]

CLIP_MODEL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}
BERT_MODEL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "timm_model_name": "test_vit",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 160,
    },
    "text_cfg": {
        "hf_model_name": TEXT_REPOSITORY,
        "hf_tokenizer_name": TEXT_REPOSITORY,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 24,
    },
}


def preprocessing(**changes: object) -> dict[str, object]:
    """Return a declared preprocessing, with changes."""
    own: dict[str, object] = {"resize_mode": "shortest", "interpolation": "bicubic"}
    return own | {"mean": MEAN, "std": STD} | changes


def declare(**changes: object) -> EncoderManifest:
    """Return the manifest of an encoder with random weights, with changes by top-level field."""
    declared: dict[str, object] = {
        "schema": 1,
        "title": "Tiny",
        "description": "Random weights.",
        "citation": "none",
        "kind": "vision-language",
        "width": 16,
        "input_size": 32,
        "licence": {"spdx": "CC0-1.0", "source": "the tests"},
        "pretraining_data": ("nothing: random weights",),
        "preprocessing": preprocessing(),
    }
    return EncoderManifest.model_validate(declared | changes)


def declare_clip(**changes: object) -> EncoderManifest:
    """Return the manifest of the tiny CLIP, with changes by top-level field."""
    declared: dict[str, object] = {
        "id": "tiny-clip",
        "family": "open_clip",
        "weights": {"repository": "some-lab/tiny-clip"},
        "text": {"tokenizer": "clip", "context_length": 12},
    }
    return declare(**declared | changes)


def declare_bert(**changes: object) -> EncoderManifest:
    """Return the manifest of the tiny model with a BERT text tower, with changes by field."""
    text = {"tokenizer": "hugging-face", "context_length": 24, "repository": TEXT_REPOSITORY}
    declared: dict[str, object] = {
        "id": "tiny-bert-clip",
        "input_size": 160,
        "weights": {"repository": "some-lab/tiny-bert-clip"},
        "text": text,
    }
    return declare_clip(**declared | changes)


def shipped(name: str) -> EncoderManifest:
    """Return the manifest of a shipped encoder."""
    return read_manifest(ENCODERS / f"{name}.toml", EncoderManifest)


def load(manifest: EncoderManifest, weights: Path | None, **resources: object) -> Encoder:
    """Return the encoder on the CPU."""
    return loader(manifest.family).load(manifest, weights, **{"device": "cpu", **resources})


def change_json(path: Path, **changes: object) -> None:
    """Change fields of the first level of a JSON file; none removes."""
    changed = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in changed.items() if v is not None}))


def change_state(path: Path, edit: Change) -> None:
    """Write a state dict again, edited."""
    import torch

    state = torch.load(path, weights_only=True)
    edit(state)
    torch.save(state, path)


def write_config(folder: Path, model: dict[str, Any], **preparation: object) -> None:
    """Write open_clip_config.json."""
    stated = {"mean": list(MEAN), "std": list(STD)} | preparation
    config = {"model_cfg": model, "preprocess_cfg": stated}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


_IDENTITY = """
import sys
from pathlib import Path
from pipeline.errors import MissingInputError
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest

manifest = EncoderManifest.model_validate_json(sys.argv[1])
try:
    loader(manifest.family).identity(manifest, Path(sys.argv[2]) if sys.argv[2:] else None)
except MissingInputError as error:
    print("missing", end=" ")
heavy = "torch torchvision open_clip timm transformers safetensors PIL cv2".split()
print(*(name for name in heavy if name in sys.modules), end="")
"""


def loaded_by_identity(manifest: EncoderManifest, weights: Path | None) -> str:
    """Return the libraries of models and images that a process loads for the identity alone.

    Where files are missing, "missing" comes before them.
    """
    command = [sys.executable, "-c", _IDENTITY, manifest.model_dump_json(by_alias=True)]
    command += [] if weights is None else [str(weights)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    return done.stdout


class Runs:
    """An object whose unpickling would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)
