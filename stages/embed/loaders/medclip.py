"""MedCLIP: a Swin transformer or ResNet-50, and a BERT whose layers and tokens are averaged.

The networks are those of transformers and torchvision, the weights those of MedCLIP's authors,
read as data: their package is not needed. Images are prepared as their processor does
(`resize_mode = "pad-gray"`): the luma is padded to a square of at least the input size, so an image
of 28 pixels stays that small in the middle of a black one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError
from stages.device import choose_device
from stages.embed.batches import FixedBatches
from stages.embed.encoder import Digest, Encoder
from stages.embed.model_encoder import (
    ModelEncoder,
    ModelText,
    built,
    padded_tokens,
    placed,
    read_tokenizer,
    text_batches,
    token_count,
)
from stages.embed.parts import Parts, computed_by, find_parts, part_files
from stages.embed.preparation import declared_preprocessing, preparation
from stages.embed.schema import EncoderManifest, TextTower
from stages.embed.state import Adapt, State, fit
from stages.embed.wanted import WantedFile

if TYPE_CHECKING:
    import torch

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_LARGEST_SCALE: Final = 4.6052
"""Upper bound of the logarithm of the logit scale in MedCLIP's code; the lower one is 0."""
_COUNTER: Final = "text_model.model.embeddings.position_ids"
"""A counter 0, 1, 2, … in the published files, which transformers no longer stores."""
_SWIN_INDEX: Final = "relative_position_index"
"""Follows from the window size; in the published files, but no longer stored either."""
_SWIN_NAMES: Final = (
    (".attention.self.query.", ".attention.q_proj."),
    (".attention.self.key.", ".attention.k_proj."),
    (".attention.self.value.", ".attention.v_proj."),
    (
        ".attention.self.relative_position_bias_table",
        ".attention.relative_position_bias.relative_position_bias_table",
    ),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
)
"""Names of a Swin's tensors in the published files and in transformers 5, applied in this order."""
PACKAGES: Final = ("torch", "torchvision", "transformers")


def files(manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
    """Return weights, the towers' configurations and the vocabulary."""
    return part_files(manifest, weights)


def identity(
    manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
) -> dict[str, Json]:
    """Return digests of weights and vocabulary, the architecture and the preprocessing."""
    parts = find_parts(manifest, weights)
    declared = declared_preprocessing(manifest).model_dump(mode="json")
    return {
        "loader": LOADER,
        "weights": digest(parts.weights),
        "architecture": {
            "vision": {"name": parts.architecture, **computed_by(parts.vision)},
            "text": computed_by(parts.text),
        },
        "preprocessing": {"size": manifest.input_size, **declared},
        "tokenizer": {
            "context_length": _text(manifest).context_length,
            "files": {path.name: digest(path) for path in parts.tokenizer},
        },
    }


def load(
    manifest: EncoderManifest,
    weights: Path | None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> Encoder:
    """Return the encoder, computing in float32 on `device`."""
    parts = find_parts(manifest, weights)
    return load_adapted(manifest, parts, adapted, device=device, batch_size=batch_size)


def load_adapted(
    manifest: EncoderManifest, parts: Parts, adapt: Adapt, *, device: str, batch_size: int
) -> Encoder:
    """Return the encoder with weights that `adapt` gives the names of the networks' tensors."""
    from stages.embed.medclip_model import image_blocks, image_tower  # loads torch

    batches = FixedBatches(choose_device(device), batch_size)
    model = _build(manifest, parts)
    fit(model, parts.weights, name=manifest.id, adapt=adapt)
    placed(model, batches)
    return ModelEncoder(
        manifest.width,
        image_tower(model, parts.architecture),
        preparation(manifest.input_size, declared_preprocessing(manifest)),
        batches,
        _text_half(manifest, parts, model, batches),
        lambda: image_blocks(model, parts.architecture),
    )


def adapted(state: State, model: torch.nn.Module) -> State:
    """Return `state` with the names and shapes that this transformers gives the same tensors."""
    expected = model.state_dict()
    kept = {
        _renamed(key) if key not in expected else key: value
        for key, value in state.items()
        if key in expected or not (key == _COUNTER or key.endswith(_SWIN_INDEX))
    }
    scale = kept.get("logit_scale")
    if scale is not None and scale.numel() == 1:
        kept["logit_scale"] = scale.reshape(())
    return kept


def _text_half(
    manifest: EncoderManifest, parts: Parts, model: torch.nn.Module, batches: FixedBatches
) -> ModelText:
    from stages.embed.medclip_model import text_tower  # loads torch

    length, tokenizer = _text(manifest).context_length, _tokenizer(parts)
    learned = float(model.logit_scale.item())
    return ModelText(
        manifest.width,
        length,
        math.exp(min(max(learned, 0.0), _LARGEST_SCALE)),
        text_tower(model),
        padded_tokens(tokenizer, length),
        partial(token_count, tokenizer),
        lambda: model.text_model.model.encoder.layer,
        text_batches(batches),
    )


def _text(manifest: EncoderManifest) -> TextTower:
    if manifest.text is None:
        message = f"encoder {manifest.id}: declares no tokenizer"
        raise DataError(message)
    return manifest.text


def _build(manifest: EncoderManifest, parts: Parts) -> torch.nn.Module:
    from stages.embed.medclip_model import build  # only once there is something to load

    refusal = f"{parts.weights.parent}: its configurations are no {manifest.id}"
    return built(lambda: build(parts, manifest.width), refusal)


def _renamed(name: str) -> str:
    if not name.startswith("vision_model."):
        return name
    for published, present in _SWIN_NAMES:
        name = name.replace(published, present)
    return name


def _tokenizer(parts: Parts) -> Callable[..., Any]:
    """Return the tokenizer, which lower-cases unless its files say otherwise, as MedCLIP's did."""
    import transformers  # only once there is something to load

    read = transformers.BertTokenizerFast.from_pretrained
    tokenizer: Callable[..., Any] = read_tokenizer(read, parts.tokenizer[0].parent)
    return tokenizer
