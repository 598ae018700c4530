"""Tiny MedCLIPs with random weights, in the on-disk form of the published files."""

from __future__ import annotations

import itertools
import json
import string
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from transformers import BertConfig, BertModel, SwinConfig, SwinModel

from stages.embed.schema import EncoderManifest

MEAN, STD = 0.5862785803043838, 0.27950088968644304
WIDTH, SIZE, CONTEXT = 16, 64, 24
SWIN_REPOSITORY, BERT_REPOSITORY = "some-lab/tiny-swin", "some-lab/tiny-bert"

SWIN: dict[str, Any] = {
    "model_type": "swin",
    "image_size": SIZE,
    "patch_size": 4,
    "embed_dim": 12,
    "depths": [2, 2],
    "num_heads": [2, 3],
    "window_size": 4,
}
BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
PUBLISHED = {
    ".attention.q_proj.": ".attention.self.query.",
    ".attention.k_proj.": ".attention.self.key.",
    ".attention.v_proj.": ".attention.self.value.",
    ".relative_position_bias.relative_position_bias_table": ".self.relative_position_bias_table",
    ".attention.o_proj.": ".attention.output.dense.",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}
"""Names in transformers 5 and in MedCLIP's files, which were written with transformers 4."""


class Plain:
    """The modules of transformers and torchvision, put together as MedCLIP's paper says."""

    def __init__(self, architecture: str, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if architecture == "swin":
                self.vision: nn.Module = SwinModel(SwinConfig(**SWIN))
                self.projection = nn.Linear(24, WIDTH, bias=False)
            else:
                self.vision = torchvision.models.resnet50(weights=None)
                self.vision.fc = nn.Linear(2048, WIDTH, bias=False)
            self.bert = BertModel(BertConfig(vocab_size=len(vocabulary()), **BERT))
            self.text_projection = nn.Linear(24, WIDTH, bias=False)
            # As initialised, all biases are zero and all tables of relative positions too.
            named = itertools.chain(self.vision.named_parameters(), self.bert.named_parameters())
            for name, parameter in named:
                if parameter.ndim == 1 or name.endswith("relative_position_bias_table"):
                    parameter.data += 0.05 * torch.randn_like(parameter)
            # One step collects the statistics without which activations grow with depth.
            for module in self.vision.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.9
            with torch.no_grad():
                self.vision.train()(torch.randn(8, 3, SIZE, SIZE))
        self.vision.eval()
        self.bert.eval()
        self.swin = architecture == "swin"

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return embeddings of prepared pixels in float64: only what is compared is to round."""
        with torch.inference_mode():
            output = self.vision.double()(pixels.double())
            return self.projection.double()(output.pooler_output) if self.swin else output

    def text(self, tokens: list[int]) -> torch.Tensor:
        """Return the embedding of one text, alone and without padding."""
        with torch.inference_mode():
            output = self.bert(torch.tensor([tokens]), output_hidden_states=True)
            first, second, last = (output.hidden_states[layer] for layer in (1, 2, -1))
            return self.text_projection(((first + second + last) / 3).mean(1))[0]

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors by the names of the published files."""
        state = {"logit_scale": torch.tensor(1 / 0.07).log()}
        for name, tensor in self.vision.state_dict().items():
            published = name
            for present, old in PUBLISHED.items() if self.swin else ():
                published = published.replace(present, old)
            state[f"vision_model.model.{published}"] = tensor
        if self.swin:
            state["vision_model.projection_head.weight"] = self.projection.weight.data
            for layer, depth in enumerate(SWIN["depths"]):
                for block in range(depth):
                    attention = f"encoder.layers.{layer}.blocks.{block}.attention.self"
                    index = torch.zeros(16, 16, dtype=torch.int64)
                    state[f"vision_model.model.{attention}.relative_position_index"] = index
        for name, tensor in self.bert.state_dict().items():
            state[f"text_model.model.{name}"] = tensor
        state["text_model.model.embeddings.position_ids"] = torch.arange(32)[None]
        state["text_model.projection_head.weight"] = self.text_projection.weight.data
        return state


def vocabulary() -> list[str]:
    """Return a vocabulary that spells every word."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lung", "##s", "opacity"]
    return [*words, *string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]


def tokens_of(text: str) -> list[int]:
    """Return the token ids of a text of known words, start and end included."""
    known = vocabulary()
    return [known.index(word) for word in ("[CLS]", *text.lower().split(), "[SEP]")]


def write_text_files(folder: Path) -> None:
    """Write what the repository of the text tower holds: no tokenizer_config.json among it."""
    folder.mkdir(parents=True, exist_ok=True)
    bert = BERT | {"vocab_size": len(vocabulary())}
    (folder / "config.json").write_text(json.dumps(bert))
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")


def write_swin_files(folder: Path) -> None:
    """Write what is read of the repository of the image tower."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {"id2label": {"0": "tench"}, "label2id": {"tench": 0}}
    (folder / "config.json").write_text(json.dumps(SWIN | labels))


def declare_medclip(architecture: str, **changes: object) -> EncoderManifest:
    """Return the manifest of a tiny MedCLIP, with changes by top-level field."""
    base = {"base": SWIN_REPOSITORY} if architecture == "swin" else {}
    declared: dict[str, object] = {
        "schema": 1,
        "id": f"tiny-medclip-{architecture}",
        "title": "Tiny MedCLIP",
        "description": "Random weights.",
        "citation": "none",
        "family": "medclip",
        "kind": "vision-language",
        "width": WIDTH,
        "input_size": SIZE,
        "licence": {"spdx": "CC0-1.0", "source": "the tests"},
        "pretraining_data": ("nothing: random weights",),
        "weights": {"architecture": architecture, "url": "https://some-lab.example/m.zip", **base},
        "preprocessing": {
            "resize_mode": "pad-gray",
            "interpolation": "bicubic",
            "mean": (MEAN, MEAN, MEAN),
            "std": (STD, STD, STD),
        },
        "text": {
            "tokenizer": "hugging-face",
            "context_length": CONTEXT,
            "repository": BERT_REPOSITORY,
        },
    }
    return EncoderManifest.model_validate(declared | changes)
