"""Encoders that the open_clip package can build: CLIP and its descendants.

The architecture, the tokenizer and the preparation of images are open_clip's own code; what is
added is that nothing is guessed, downloaded, resized or left uninitialised on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError
from stages.embed.batches import FixedBatches, choose_device
from stages.embed.checkpoint import (
    Checkpoint,
    architecture_of,
    checkpoint_files,
    clip_vocabulary,
    find_checkpoint,
)
from stages.embed.encoder import Digest, Embeddings, Encoder, Images, checked_images
from stages.embed.preparation import declared_preprocessing, preparation, prepared
from stages.embed.schema import EncoderManifest
from stages.embed.state import Adapt, State, fit
from stages.embed.towers import Tower, image_blocks, text_blocks
from stages.embed.wanted import WantedFile

if TYPE_CHECKING:
    import torch

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_TEXT_TOWER: Final = "text_encoder."
"""What forks of open_clip that always have a Hugging Face text tower call `text.`."""
_TEXTS: Final = 8
"""Most texts in a batch: there are few of them, and padding costs as much as texts."""
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
    model.float().eval().requires_grad_(requires_grad=False).to(batches.device)
    few = FixedBatches(batches.device, min(batch_size, _TEXTS))
    text = None if manifest.text is None else OpenClipText(manifest, checkpoint, model, few)
    return OpenClipEncoder(manifest, model, batches, text)


class OpenClipEncoder:
    """A loaded open_clip model."""

    def __init__(
        self,
        manifest: EncoderManifest,
        model: torch.nn.Module,
        batches: FixedBatches,
        text: OpenClipText | None,
    ) -> None:
        self._width = manifest.width
        self._model: Any = model
        self._batches = batches
        self._text = text
        self._prepare = preparation(manifest.input_size, declared_preprocessing(manifest))

    @property
    def tower(self) -> Tower:
        """The blocks of the image tower."""
        model = self._model
        blocks = image_blocks(model.visual)
        return Tower(model.encode_image, blocks, self.prepare_images, self._batches)

    @property
    def width(self) -> int:
        """Number of components of an embedding."""
        return self._width

    @property
    def text(self) -> OpenClipText | None:
        """The text half; none for a vision-only encoder."""
        return self._text

    def prepare_images(self, images: Images) -> torch.Tensor:
        """Return the model's input for `images`, float32 `(n, 3, input size, input size)`."""
        return prepared(images, self._prepare)

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image, float32 `(n, width)`."""
        return self._batches.run(
            self._model.encode_image,
            lambda part: self.prepare_images(images[part]),
            len(checked_images(images)),
            self._width,
        )


class OpenClipText:
    """The text half of a loaded open_clip model."""

    def __init__(
        self,
        manifest: EncoderManifest,
        checkpoint: Checkpoint,
        model: torch.nn.Module,
        batches: FixedBatches,
    ) -> None:
        self._width = manifest.width
        self._model: Any = model
        self._batches = batches
        self._context_length, self._tokens, self._count = _tokenizer(manifest, checkpoint)
        self._logit_scale = float(np.exp(self._model.logit_scale.item()))

    @property
    def tower(self) -> Tower:
        """The blocks of the text tower."""
        model = self._model
        return Tower(model.encode_text, text_blocks(model), self._tokens, self._batches)

    @property
    def context_length(self) -> int:
        """Number of tokens read of a text, start and end included."""
        return self._context_length

    @property
    def logit_scale(self) -> float:
        """Learned factor (the exponential is taken) between cosine similarity and logits."""
        return self._logit_scale

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embedding of each text, float32 `(n, width)`."""
        return self._batches.run(
            self._model.encode_text,
            lambda part: self._tokens(list(texts[part])),
            len(texts),
            self._width,
        )

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of tokens of each text before cutting, start and end included."""
        return np.array([self._count(text) for text in texts], np.int64)


def _architecture(manifest: EncoderManifest) -> str:
    return (manifest.weights and manifest.weights.architecture) or manifest.id


def _build(manifest: EncoderManifest, checkpoint: Checkpoint) -> torch.nn.Module:
    """Return the model with random weights; nothing is downloaded for it."""
    import open_clip  # only once there is something to load
    import torch  # as above

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
    try:
        # Initialisation draws random numbers, which are all overwritten: leave the caller's alone.
        with torch.random.fork_rng(devices=[]):
            model: torch.nn.Module = kind(**config)
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        message = f"{checkpoint.weights.parent}: open_clip cannot build {manifest.id}: {reason}"
        raise DataError(message) from error
    return model


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
    try:
        hub = HFTokenizer(str(folder), tokenizer_mode=mode, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().split("\n")[0]
        message = f"{folder}: its tokenizer files cannot be read: {reason}"
        raise DataError(message) from error
    # Not verbose: whether a text exceeds the context length is what is being asked.
    return (
        length,
        hub,
        lambda words: len(hub.tokenizer(hub.clean_fn(words), verbose=False).input_ids),
    )


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
