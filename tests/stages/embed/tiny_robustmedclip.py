"""Tiny models whose adapters run beside the weights, un-merged, and their manifests."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from stages.embed.encoder import Images
from stages.embed.schema import EncoderManifest
from tests.stages.embed.tiny import BERT_MODEL, declare_bert, preprocessing
from tests.stages.embed.tiny_medclip import SIZE, Plain, declare_medclip

State = dict[str, torch.Tensor]


RANK = 4


FILE = "exp-rank-4/vit/best_model/model.pth"


def declare_vit(**changes: object) -> EncoderManifest:
    """Return the manifest of the tiny tuned BiomedCLIP."""
    weights = {
        "repository": "some-lab/tiny-robust",
        "file": FILE,
        "base": "some-lab/tiny-bert-clip",
        "lora_rank": RANK,
    }
    own = {"id": "tiny-robust-vit", "family": "robustmedclip", "weights": weights}
    return declare_bert(**own | changes)


def declare_resnet(**changes: object) -> EncoderManifest:
    """Return the manifest of the tiny tuned MedCLIP, prepared as it was tuned."""
    declared: dict[str, object] = {
        "id": "tiny-robust-resnet",
        "family": "robustmedclip",
        "weights": {"architecture": "resnet50", "file": "model.pth", "lora_rank": RANK},
        "preprocessing": preprocessing(),
    }
    return declare_medclip("resnet50", **declared | changes)


class AdaptedLinear(nn.Module):
    """A joint layer of query, key and value with an adapter for each, run beside it."""

    def __init__(self, qkv: nn.Linear) -> None:
        super().__init__()
        self.qkv = qkv
        for matrix in "qkv":
            down, up = adapter(qkv.in_features, qkv.in_features)
            setattr(self, f"linear_a_{matrix}", down)
            setattr(self, f"linear_b_{matrix}", up)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, each third with its adapter's added."""
        added = [
            getattr(self, f"linear_b_{matrix}")(getattr(self, f"linear_a_{matrix}")(tokens))
            for matrix in "qkv"
        ]
        return self.qkv(tokens) + torch.cat(added, dim=-1)


class AdaptedConvolution(nn.Module):
    """A convolution with an adapter on pixels, run beside it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.linear_a, self.linear_b = adapter(conv.in_channels, conv.out_channels)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the convolution, with the adapter's output resized to it and added."""
        out = self.conv(pixels)
        added = self.linear_b(self.linear_a(pixels.movedim(1, -1))).movedim(-1, 1)
        return out + nn.functional.interpolate(added, size=out.shape[2:], mode="nearest")


def adapter(inputs: int, outputs: int) -> tuple[nn.Linear, nn.Linear]:
    """Return two linear layers whose product is about as large as the weights they adapt."""
    down, up = nn.Linear(inputs, RANK, bias=False), nn.Linear(RANK, outputs, bias=False)
    nn.init.normal_(down.weight, std=0.5 * inputs**-0.5)
    nn.init.normal_(up.weight, std=0.5 * RANK**-0.5)
    return down, up


class PlainViT:
    """open_clip's model of the tiny BiomedCLIP with adapters in every block."""

    def __init__(self, folder: Path) -> None:
        import open_clip

        text = BERT_MODEL["text_cfg"] | {"hf_model_name": str(folder), "hf_model_pretrained": False}
        name = f"local-dir:{folder}"
        self.model, _, self.prepare = open_clip.create_model_and_transforms(name, text_cfg=text)
        self.model.eval()
        self.tokens = open_clip.get_tokenizer(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            for block in self.model.visual.trunk.blocks:
                block.attn.qkv = AdaptedLinear(block.attn.qkv)

    def images(self, images: Images) -> np.ndarray:
        """Return embeddings of images."""
        pixels = torch.stack([self.prepare(Image.fromarray(image)) for image in images])
        with torch.inference_mode():
            return self.model.encode_image(pixels).numpy()

    def texts(self, texts: tuple[str, ...]) -> np.ndarray:
        """Return embeddings of texts."""
        with torch.inference_mode():
            return self.model.encode_text(self.tokens(list(texts))).numpy()

    def state(self) -> State:
        """Return the tensors by the names of the published files, where there is no temperature."""
        prefixes = {"visual.": "lora_vit.lora_vit.", "text.": "text_encoder."}
        return {
            name.replace(own, published, 1): tensor.contiguous()
            for name, tensor in self.model.state_dict().items()
            for own, published in prefixes.items()
            if name.startswith(own)
        }


class PlainResNet(Plain):
    """The tiny MedCLIP with adapters on every convolution but the shortcuts'."""

    def __init__(self) -> None:
        super().__init__("resnet50", 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(6)
            for name, module in list(self.vision.named_modules()):
                if re.search(r"conv[123]$", name):
                    parent = self.vision.get_submodule(name.rpartition(".")[0])
                    setattr(parent, name.rpartition(".")[2], AdaptedConvolution(module))
            # Trained with the adapters, the statistics are those of both.
            with torch.no_grad():
                self.vision.train()(torch.randn(8, 3, SIZE, SIZE))
            self.vision.eval()

    def state(self) -> State:
        """Return the tensors by the names of the published files, the adapters twice."""
        renamed = {}
        for name, tensor in super().state().items():
            if name != "logit_scale" and "position_ids" not in name:
                published = name.replace("vision_model.", "lora_resnet.lora_medclip.")
                renamed[published.replace("text_model.", "text_encoder.")] = tensor
        for letter in "ab":
            ends = f".linear_{letter}.weight"
            same = [tensor for name, tensor in renamed.items() if name.endswith(ends)]
            for number, tensor in enumerate(same):
                renamed[f"lora_resnet.w_{letter.upper()}s.{number}.weight"] = tensor
        return renamed
