"""Encoders that the open_clip package can build: CLIP and its descendants.

The architecture, the tokenizer and the preparation of images are open_clip's own code; what is
added is that nothing is guessed, downloaded, resized or left uninitialised on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError
from stages.device import choose_device
from stages.embed.batches import FixedBatches
from stages.embed.checkpoint import (
    Checkpoint,
    architecture_of,
    checkpoint_files,
    clip_vocabulary,
    find_checkpoint,
)
from stages.embed.encoder import Digest, Encoder
from stages.embed.model_encoder import (
    ModelEncoder,
    ModelText,
    built,
    placed,
    read_tokenizer,
    text_batches,
    token_count,
)
from stages.embed.preparation import declared_preprocessing, preparation
from stages.embed.schema import EncoderManifest
from stages.embed.state import Adapt, State, fit
from stages.embed.towers import image_blocks, text_blocks
from stages.embed.wanted import WantedFile

if TYPE_CHECKING:
    import torch

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_TEXT_TOWER: Final = "text_encoder."
"""What forks of open_clip that always have a Hugging Face text tower call `text.`."""
PACKAGES: Final = ("open_clip", "torch", "safetensors", "timm", "transformers")


def files(manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
    """Return weights, configuration, and the text tower's configuration and vocabulary."""
    return checkpoint_files(manifest, weights)


def identity(
    manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
) -> dict[str, Json]:
    """Return digests of weights and tokenizer, the architecture and the preprocessing."""
    checkpoint = find_checkpoint(manifest, weights)
    declared = declared_preprocessing(manifest).model_dump(mode="json")
    return {
        "loader": LOADER,
        "weights": digest(checkpoint.weights),
        "architecture": architecture_of(checkpoint.model, checkpoint.text_config),
        "preprocessing": {"size": manifest.input_size, **declared},
        "tokenizer": _tokenizer_identity(manifest, checkpoint, digest),
    }


def load(
    manifest: EncoderManifest,
    weights: Path | None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> Encoder:
    """Return the encoder, computing in float32 on `device`."""
    return load_adapted(manifest, weights, adapted, device=device, batch_size=batch_size)


def load_adapted(
    manifest: EncoderManifest,
    weights: Path | None,
    adapt: Adapt,
    *,
    device: str,
    batch_size: int,
) -> Encoder:
    """Return the encoder with weights that `adapt` gives the names of open_clip's tensors."""
    checkpoint = find_checkpoint(manifest, weights)
    batches = FixedBatches(choose_device(device), batch_size)
    model = _build(manifest, checkpoint)
    fit(model, checkpoint.weights, name=_architecture(manifest), adapt=adapt)
    placed(model, batches)
    return ModelEncoder(
        manifest.width,
        model.encode_image,
        preparation(manifest.input_size, declared_preprocessing(manifest)),
        batches,
        _text(manifest, checkpoint, model, batches),
        partial(image_blocks, model.visual),
    )


def _text(
    manifest: EncoderManifest, checkpoint: Checkpoint, model: torch.nn.Module, batches: FixedBatches
) -> ModelText | None:
    if manifest.text is None:
        return None
    length, tokens, count = _tokenizer(manifest, checkpoint)
    return ModelText(
        manifest.width,
        length,
        float(np.exp(model.logit_scale.item())),
        model.encode_text,
        tokens,
        count,
        partial(text_blocks, model),
        text_batches(batches),
    )


def _architecture(manifest: EncoderManifest) -> str:
    return (manifest.weights and manifest.weights.architecture) or manifest.id


def _build(manifest: EncoderManifest, checkpoint: Checkpoint) -> torch.nn.Module:
    """Return the model with random weights; nothing is downloaded for it."""
    import open_clip  # only once there is something to load

    config = dict(checkpoint.model)
    text = dict(config["text_cfg"])
    if checkpoint.text_config is not None:
        text |= {"hf_model_name": str(checkpoint.text_config.parent), "hf_model_pretrained": False}
    vision = dict(config["vision_cfg"])
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    config |= {"text_cfg": text, "vision_cfg": vision}
    own_text = bool(config.pop("custom_text", False)) or "hf_model_name" in text
    kind = open_clip.CustomTextCLIP if own_text else open_clip.CLIP
    refusal = f"{checkpoint.weights.parent}: open_clip cannot build {manifest.id}"
    return built(lambda: kind(**config), refusal)


def adapted(state: State, model: torch.nn.Module) -> State:
    """Return `state` with the names and shapes that this open_clip gives the same tensors."""
    from open_clip.model import convert_to_custom_text_state_dict  # as above

    expected = model.state_dict()
    if "positional_embedding" in state and "positional_embedding" not in expected:
        state = convert_to_custom_text_state_dict(state)
    state = {
        f"text.{key.removeprefix(_TEXT_TOWER)}" if key.startswith(_TEXT_TOWER) else key: value
        for key, value in state.items()
    }
    # Neither is a weight: sizes that OpenAI stored beside them, and a counter 0, 1, 2, …
    bookkeeping = {"input_resolution", "context_length", "vocab_size"}
    counter = "text.transformer.embeddings.position_ids"
    state = {
        key: value
        for key, value in state.items()
        if key in expected or key not in bookkeeping | {counter}
    }
    for key in ("logit_scale", "logit_bias"):
        # One number, stored with or without a dimension of its own.
        if key in state and key in expected and state[key].numel() == expected[key].numel():
            state[key] = state[key].reshape(expected[key].shape)
    return state


def _tokenizer(
    manifest: EncoderManifest, checkpoint: Checkpoint
) -> tuple[int, Callable[[list[str]], torch.Tensor], Callable[[str], int]]:
    """Return the context length, open_clip's tokenizer, and the count of a text's tokens."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer  # as above

    declared = manifest.text
    if declared is None:
        message = f"encoder {manifest.id}: declares no tokenizer"
        raise DataError(message)
    text = checkpoint.model["text_cfg"]
    length = declared.context_length
    options = {**text.get("tokenizer_kwargs", {}), "context_length": length}
    if declared.tokenizer == "clip":
        own = SimpleTokenizer(**options)
        return length, own, lambda words: len(own.encode(words)) + 2  # start and end
    folder = checkpoint.tokenizer[0].parent
    mode = text.get("tokenizer_mode")
    hub = read_tokenizer(HFTokenizer, folder, tokenizer_mode=mode, **options)
    return length, hub, lambda words: token_count(hub.tokenizer, hub.clean_fn(words))


def _tokenizer_identity(
    manifest: EncoderManifest, checkpoint: Checkpoint, digest: Digest
) -> dict[str, Json] | None:
    if manifest.text is None:
        return None
    vocabulary = checkpoint.tokenizer or (clip_vocabulary(),)
    return {
        "kind": manifest.text.tokenizer,
        "context_length": manifest.text.context_length,
        "files": {path.name: digest(path) for path in vocabulary},
    }
