"""The architectures of the tiny checkpoints, as open_clip_config.json states them."""

from __future__ import annotations

import json
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
