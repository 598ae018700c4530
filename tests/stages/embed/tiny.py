"""The architectures of the tiny checkpoints, as open_clip_config.json states them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.embed.schema import EncoderManifest

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
TEXT_REPOSITORY = "some-lab/tiny-bert"
Declare = Callable[..., EncoderManifest]

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


def write_config(folder: Path, model: dict[str, Any], **preparation: object) -> None:
    """Write open_clip_config.json."""
    stated = {"mean": list(MEAN), "std": list(STD)} | preparation
    config = {"model_cfg": model, "preprocess_cfg": stated}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


_IDENTITY = """
import sys
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest

manifest = EncoderManifest.model_validate_json(sys.argv[1])
loader(manifest.family).identity(manifest, __import__("pathlib").Path(sys.argv[2]))
heavy = "torch torchvision open_clip timm transformers safetensors PIL cv2".split()
print(*(name for name in heavy if name in sys.modules), end="")
"""


def loaded_by_identity(manifest: EncoderManifest, weights: Path) -> str:
    """Return the libraries of models and images that a process loads for the identity alone."""
    command = [sys.executable, "-c", _IDENTITY, manifest.model_dump_json(by_alias=True), weights]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    return done.stdout
