"""Low-rank adapters of RobustMedCLIP, added into the weights that they adapt.

An adapter is a pair of matrices, A `(rank, in)` and B `(out, rank)`, and adds B·A·x to what a layer
computes from x; there is no factor α/rank. Both kinds are linear, so that B·A can be added to the
layer's weights once, and the model then costs what it did before:

* attention: each of query, key and value of a block has its own pair, and its third of the rows of
  the joint weights.
* convolution: the adapter sees single pixels, and its output is resized to that of the convolution
  by nearest neighbour. For even sizes these are the pixels at the centres of the kernels, so B·A is
  added to the kernels' middle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import DataError
from stages.embed.state import State, require_fit

if TYPE_CHECKING:
    import torch

_ALONE: Final = re.compile(r"w_[ab]_\d+|fc_\d+in_\d+out")
"""Names in the published files of adapters without their model."""
_COPIES: Final = re.compile(r"lora_resnet\.w_[AB]s\.\d+\.weight")
"""Second names of the adapters of convolutions in the published state dicts."""
_COUNTERS: Final = frozenset(
    {
        "text_encoder.model.embeddings.position_ids",
        "text_encoder.transformer.embeddings.position_ids",
    }
)
"""A counter 0, 1, 2, …, which transformers no longer stores."""
_HEADER: Final = 100_000_000
"""Longest header of a safetensors file, bytes."""


@dataclass(frozen=True)
class Pair:
    """The names of one adapter and of what it adapts."""

    weight: str
    """Weights of the adapted layer."""
    a: str
    b: str
    third: int | None
    """Which third of the rows (query 0, key 1, value 2); none for a convolution."""

    @property
    def key(self) -> bool:
        """Whether it adapts the keys of an attention."""
        return self.third == 1


@dataclass(frozen=True)
class Layout:
    """How a published state dict names the tensors of an adapted model."""

    prefixes: Mapping[str, str]
    """Beginning of the published names, by beginning of the model's."""
    adapted: re.Pattern[str]
    """Which of the model's weights are adapted."""
    inner: str
    """Name that the layer has within its adapted form."""
    matrices: str
    """Letters of the matrices that are adapted separately; empty where there is one."""

    def pairs(self, name: str) -> list[Pair]:
        """Return the adapters of the weights that the model calls `name`."""
        if self.adapted.fullmatch(name) is None:
            return []
        layer, _, last = self.published(name).rpartition(f".{self.inner}.")
        weight = f"{layer}.{self.inner}.{last}"
        if not self.matrices:
            return [Pair(weight, f"{layer}.linear_a.weight", f"{layer}.linear_b.weight", None)]
        return [
            Pair(weight, f"{layer}.linear_a_{m}.weight", f"{layer}.linear_b_{m}.weight", third)
            for third, m in enumerate(self.matrices)
        ]

    def published(self, name: str) -> str:
        """Return the published name of the model's tensor `name`; empty where there is none."""
        for own, published in self.prefixes.items():
            if name.startswith(own):
                layer, _, last = name.rpartition(".")
                wrapped = self.adapted.fullmatch(f"{layer}.weight") is not None
                inner = f"{layer}.{self.inner}.{last}" if wrapped else name
                return published + inner.removeprefix(own)
        return ""


VISION_TRANSFORMER: Final = Layout(
    {"visual.": "lora_vit.lora_vit.", "text.": "text_encoder."},
    re.compile(r"visual\.trunk\.blocks\.\d+\.attn\.qkv\.weight"),
    "qkv",
    "qkv",
)
"""BiomedCLIP as open_clip builds it, every block adapted."""
RESNET: Final = Layout(
    {"vision_model.": "lora_resnet.lora_medclip.", "text_model.": "text_encoder."},
    re.compile(r"vision_model\.model\.(layer[1-4]\.\d+\.conv[123]|conv1)\.weight"),
    "conv",
    "",
)
"""MedCLIP with ResNet-50, every convolution adapted but those of the shortcuts."""


def merging(
    layout: Layout, path: Path, *, name: str, rank: int
) -> Callable[[State, torch.nn.Module], State]:
    """Return the function that adds the adapters in the state dict of `path` to its weights.

    Raises
    ------
    DataError
        From that function: naming `path`, `name` (the encoder) and the missing, unexpected and
        ill-shaped tensors by their published names.
    """

    def merge(state: State, model: torch.nn.Module) -> State:
        own = model.state_dict()
        names = {key: published for key in own if (published := layout.published(key))}
        pairs = [pair for key in own for pair in layout.pairs(key)]
        expected = {published: own[key] for key, published in names.items()}
        expected |= _adapters(expected, pairs, rank)
        state = {
            key: value
            for key, value in state.items()
            if key in expected or not (key in _COUNTERS or _COPIES.fullmatch(key))
        }
        require_fit(state, expected, path, name=name, note=_note(state, pairs))
        for pair in pairs:
            state[pair.weight] = _added(state, pair)
        merged = {key: state[published] for key, published in names.items() if published in state}
        # The tuned model compares cosines as they are; its files hold no temperature.
        return merged | {"logit_scale": own["logit_scale"].new_zeros(own["logit_scale"].shape)}

    return merge


def refuse_adapters_alone(path: Path) -> None:
    """Raise if a safetensors file holds adapters without their model, as published ones do.

    Only the header is read, without torch; a damaged file is left to the reader of weights.

    Raises
    ------
    DataError
        Saying what the file lacks and which file to use.
    """
    names = _names(path) if path.suffix == ".safetensors" else []
    if not names or not all(_ALONE.fullmatch(name) for name in names):
        return
    message = (
        f"{path}: holds only adapters ({sum(name.startswith('w_a_') for name in names)} A and "
        f"{sum(name.startswith('w_b_') for name in names)} B matrices). The published "
        "lora_weights.safetensors of the vision transformer leave out the K matrices, which were "
        "trained as those of Q and V were, so the model cannot be restored from them; give the "
        "whole state dict, model.pth"
    )
    raise DataError(message)


def _names(path: Path) -> list[str]:
    """Return the names of the tensors in a safetensors file; none if it is damaged."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length < _HEADER else {}
    except (OSError, ValueError):
        return []
    return [name for name in header if name != "__metadata__"] if isinstance(header, dict) else []


def _adapters(expected: Mapping[str, torch.Tensor], pairs: list[Pair], rank: int) -> State:
    """Return tensors that have the shapes of the adapters, by published name."""
    shaped: State = {}
    for pair in pairs:
        weight = expected[pair.weight]
        rows = weight.shape[0] if pair.third is None else weight.shape[0] // 3
        shaped[pair.a] = weight.new_empty((rank, weight.shape[1]))
        shaped[pair.b] = weight.new_empty((rows, rank))
    return shaped


def _note(state: State, pairs: list[Pair]) -> str:
    """Return what it means if all that is missing of the adapters are those of keys."""
    lacking = [pair for pair in pairs if pair.a not in state or pair.b not in state]
    if lacking and all(pair.key for pair in lacking):
        return (
            ". The adapters of the keys (K) are missing, which were trained as those of Q and V "
            "were, so the model cannot be restored from this file; give the whole model.pth"
        )
    return ""


def _added(state: State, pair: Pair) -> torch.Tensor:
    """Return the adapted weights, in their own precision."""
    weight = state[pair.weight]
    product = state[pair.b].double() @ state[pair.a].double()
    summed = weight.double().clone()
    if pair.third is None:
        summed[:, :, weight.shape[2] // 2, weight.shape[3] // 2] += product
    else:
        rows = product.shape[0]
        summed[pair.third * rows : (pair.third + 1) * rows] += product
    return summed.to(weight.dtype)
