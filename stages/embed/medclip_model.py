"""The networks of MedCLIP, from the modules of transformers and torchvision.

Their tensors have the names of the published files. This module imports torch: loaders import it
once there is something to load.
"""

from __future__ import annotations

import torch
import torchvision
import transformers

from stages.embed.checkpoint import Config
from stages.embed.model_encoder import Embed
from stages.embed.parts import Parts
from stages.embed.towers import image_blocks as resnet_stages

_AVERAGED = (1, 2, -1)
"""Hidden states of the text tower that are averaged; 0 would be the embedded tokens."""


def build(parts: Parts, width: int) -> torch.nn.Module:
    """Return both towers and the temperature with random weights; nothing is downloaded."""
    model = torch.nn.Module()
    swin = parts.architecture == "swin"
    model.vision_model = _swin(parts.vision, width) if swin else _resnet(width)
    settings = transformers.BertConfig.from_dict(parts.text)
    bert = transformers.BertModel(settings)
    model.text_model = _projected(bert, settings.hidden_size, width)
    model.logit_scale = torch.nn.Parameter(torch.zeros(()))
    return model


def image_tower(model: torch.nn.Module, architecture: str) -> Embed:
    """Return the embedding of `(n, 3, size, size)` pixels."""
    tower = model.vision_model
    if architecture != "swin":
        # The projection is the last layer of the ResNet.
        resnet: Embed = tower.model
        return resnet

    def embed(pixels: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = tower.projection_head(tower.model(pixels).pooler_output)
        return projected

    return embed


def image_blocks(model: torch.nn.Module, architecture: str) -> list[torch.nn.Module]:
    """Return the modules that end the stages of the image tower, before each is downsampled."""
    tower = model.vision_model.model
    if architecture == "swin":
        return [stage.blocks[-1] for stage in tower.encoder.layers]
    return resnet_stages(tower)


def text_tower(model: torch.nn.Module) -> Embed:
    """Return the embedding of `(n, 2, length)` token ids and attention masks.

    Tokens and three hidden states are averaged, then projected. Only tokens of the text count:
    MedCLIP's code averages the padding too, so there a text's embedding depends on the longest
    text beside it. For a text alone both are equal.
    """
    tower = model.text_model

    def embed(tokens: torch.Tensor) -> torch.Tensor:
        ids, mask = tokens.unbind(1)
        output = tower.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        states = torch.stack([output.hidden_states[layer] for layer in _AVERAGED]).mean(0)
        kept = mask.unsqueeze(-1).to(states.dtype)
        average = (states * kept).sum(1) / kept.sum(1).clamp(min=1)
        projected: torch.Tensor = tower.projection_head(average)
        return projected

    return embed


def _swin(configuration: Config, width: int) -> torch.nn.Module:
    swin = transformers.SwinModel(transformers.SwinConfig.from_dict(configuration))
    return _projected(swin, swin.num_features, width)


def _resnet(width: int) -> torch.nn.Module:
    tower = torch.nn.Module()
    tower.model = torchvision.models.resnet50(weights=None)
    tower.model.fc = torch.nn.Linear(tower.model.fc.in_features, width, bias=False)
    return tower


def _projected(model: torch.nn.Module, features: int, width: int) -> torch.nn.Module:
    tower = torch.nn.Module()
    tower.model = model
    tower.projection_head = torch.nn.Linear(features, width, bias=False)
    return tower
