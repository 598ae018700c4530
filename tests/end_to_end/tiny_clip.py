"""A tiny CLIP with random weights, as a person would have it: a manifest and a checkpoint."""

from __future__ import annotations

from pathlib import Path

from tests.stages.embed.tiny import CLIP_MODEL, write_config

MANIFEST = """
schema = 1
id = "tiny-clip"
title = "Tiny CLIP"
description = "Random weights."
citation = "none"
family = "open_clip"
kind = "vision-language"
width = 16
input_size = 32
pretraining_data = ["nothing: random weights"]
[licence]
spdx = "CC0-1.0"
source = "the tests"
[weights]
repository = "some-lab/tiny-clip"
[preprocessing]
resize_mode = "shortest"
interpolation = "bicubic"
mean = [0.4, 0.5, 0.6]
std = [0.2, 0.25, 0.3]
[text]
tokenizer = "clip"
context_length = 12
"""


def write_tiny_clip(folder: Path) -> Path:
    """Write the encoder `tiny-clip` into `my/encoders`; return the `weights` folder below it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    (folder / "my" / "encoders").mkdir(parents=True, exist_ok=True)
    (folder / "my" / "encoders" / "tiny.toml").write_text(MANIFEST)
    weights = folder / "weights"
    weights.mkdir()
    write_config(weights, CLIP_MODEL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = open_clip.CLIP(**CLIP_MODEL)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, weights / "open_clip_model.safetensors")
    return weights
