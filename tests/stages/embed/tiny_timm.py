"""Tiny models of timm as its repositories hold them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from stages.embed.schema import EncoderManifest
from tests.stages.embed import tiny
from tests.stages.embed.tiny import MEAN, STD

preprocessing = partial(tiny.preprocessing, crop=0.95)


def declare(architecture: str = "test_vit", **changes: object) -> EncoderManifest:
    """Return the manifest of a tiny model, with changes by top-level field."""
    declared: dict[str, object] = {
        "id": "tiny-timm",
        "family": "timm",
        "kind": "vision-only",
        "width": {"test_vit": 64, "test_resnet": 96}[architecture],
        "input_size": 160,
        "weights": {"repository": "some-lab/tiny-timm", "architecture": architecture},
        "preprocessing": preprocessing(),
    }
    return tiny.declare(**declared | changes)


def write(folder: Path, architecture: str = "test_vit", **changes: object) -> Path:
    """Write a model with a classifier of three classes as timm's repositories hold it."""
    import timm

    folder.mkdir(exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = timm.create_model(architecture, pretrained=False, num_classes=3)
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.copy_(torch.linspace(-0.1, 0.1, len(value)))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights_of(folder))
    stated = {
        "tag": "tiny",
        "custom_load": False,
        "input_size": [3, 160, 160],
        "fixed_input_size": model.pretrained_cfg["fixed_input_size"],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": list(MEAN),
        "std": list(STD),
        "num_classes": 3,
        "classifier": model.pretrained_cfg["classifier"],
        "first_conv": model.pretrained_cfg["first_conv"],
    }
    config = {
        "architecture": architecture,
        "num_classes": 3,
        "num_features": model.num_features,
        "pretrained_cfg": stated | changes,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def weights_of(folder: Path) -> Path:
    return folder / "model.safetensors"
