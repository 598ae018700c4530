"""CLIP models of Hugging Face's transformers, as repositories and folders publish them.

The model and the tokenizer are transformers' own code. Images take the path through Pillow of its
`CLIPImageProcessor`, once, as the manifest declares and `preprocessor_config.json` must confirm.
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
from stages.embed.clip_folder import ClipFiles, clip_files, find_clip
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
from stages.embed.parts import computed_by
from stages.embed.preparation import declared_preprocessing, preparation
from stages.embed.schema import EncoderManifest
from stages.embed.state import State, fit
from stages.embed.wanted import WantedFile

if TYPE_CHECKING:
    import torch

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_COUNTERS: Final = frozenset(f"{half}_model.embeddings.position_ids" for half in ("text", "vision"))
"""Counters 0, 1, 2, … in older files, which transformers no longer stores."""
_LARGEST_ID: Final = 2
"""As `eos_token_id`, means the largest token id of a text, whatever that is."""
PACKAGES: Final = ("torch", "torchvision", "transformers", "safetensors")


def files(manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
    """Return weights, configuration, preprocessing and vocabulary."""
    return clip_files(manifest, weights)


def identity(
    manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
) -> dict[str, Json]:
    """Return digests of weights and tokenizer, the architecture and the preprocessing."""
    found = find_clip(manifest, weights)
    declared = declared_preprocessing(manifest).model_dump(mode="json")
    tokenizer: Json = None
    if manifest.text is not None:
        tokenizer = {
            "context_length": manifest.text.context_length,
            "files": {path.name: digest(path) for path in found.tokenizer},
        }
    return {
        "loader": LOADER,
        "weights": digest(found.weights),
        "architecture": {
            key: computed_by(value) if isinstance(value, dict) else value
            for key, value in computed_by(found.config).items()
        },
        "preprocessing": {"size": manifest.input_size, **declared},
        "tokenizer": tokenizer,
    }


def load(
    manifest: EncoderManifest,
    weights: Path | None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> Encoder:
    """Return the encoder, computing in float32 on `device`."""
    found = find_clip(manifest, weights)
    batches = FixedBatches(choose_device(device), batch_size)
    model = _build(manifest, found)
    fit(model, found.weights, name=manifest.id, adapt=_adapted)
    placed(model, batches)
    size, declared = manifest.input_size, declared_preprocessing(manifest)
    return ModelEncoder(
        manifest.width,
        _image_tower(model),
        preparation(size, declared, centre="floored"),
        batches,
        _text(manifest, found, model, batches),
        lambda: model.vision_model.encoder.layers,
    )


def _text(
    manifest: EncoderManifest, found: ClipFiles, model: torch.nn.Module, batches: FixedBatches
) -> ModelText | None:
    if manifest.text is None:
        return None
    length, tokenizer = manifest.text.context_length, _tokenizer(found, model)
    return ModelText(
        manifest.width,
        length,
        math.exp(float(model.logit_scale.item())),
        _text_tower(model),
        padded_tokens(tokenizer, length),
        partial(token_count, tokenizer),
        lambda: model.text_model.encoder.layers,
        text_batches(batches),
    )


def _build(manifest: EncoderManifest, found: ClipFiles) -> torch.nn.Module:
    import transformers  # only once there is something to load

    def build() -> torch.nn.Module:
        config = transformers.CLIPConfig.from_dict(found.config)
        model: torch.nn.Module = transformers.CLIPModel(config)
        return model

    return built(build, f"{found.weights.parent}: its config.json is no {manifest.id}").float()


def _adapted(state: State, model: torch.nn.Module) -> State:
    """Return `state` without counters, the logit scale as a number without a dimension."""
    expected = model.state_dict()
    kept = {key: value for key, value in state.items() if key in expected or key not in _COUNTERS}
    scale = kept.get("logit_scale")
    if scale is not None and scale.numel() == 1:
        kept["logit_scale"] = scale.reshape(())
    return kept


def _image_tower(model: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from pixels to projected embeddings.

    What `get_image_features` returns differs between versions of transformers.
    """

    def embed(pixels: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = model.visual_projection(
            model.vision_model(pixel_values=pixels).pooler_output
        )
        return projected

    return embed


def _text_tower(model: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from token ids and attention masks to projected embeddings."""

    def embed(tokens: torch.Tensor) -> torch.Tensor:
        ids, mask = tokens.unbind(1)
        projected: torch.Tensor = model.text_projection(
            model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        )
        return projected

    return embed


def _tokenizer(found: ClipFiles, model: torch.nn.Module) -> Callable[..., Any]:
    """Return the tokenizer, which must give what the text tower reads."""
    import transformers  # only once there is something to load

    folder = found.tokenizer[0].parent
    # Never the code that a repository may bring along.
    read = partial(transformers.AutoTokenizer.from_pretrained, trust_remote_code=False)
    tokenizer = read_tokenizer(read, folder)
    empty = tokenizer("").input_ids
    text = model.config.text_config
    faults = []
    if len(tokenizer) > text.vocab_size:
        faults.append(f"has {len(tokenizer)} tokens, the model {text.vocab_size}")
    if text.eos_token_id != _LARGEST_ID and text.eos_token_id not in empty:
        faults.append(f"never ends a text with token {text.eos_token_id}, where the model looks")
    if tokenizer.pad_token_id is None:
        faults.append("has no token to pad with")
    if faults:
        message = f"{folder}: its tokenizer is not the model's: it {'; it '.join(faults)}"
        raise DataError(message)
    called: Callable[..., Any] = tokenizer
    return called
