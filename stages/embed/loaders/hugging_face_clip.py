"""CLIP models of Hugging Face's transformers, as repositories and folders publish them.

The model and the tokenizer are transformers' own code. Images take the path through Pillow of its
`CLIPImageProcessor`, once, as the manifest declares and `preprocessor_config.json` must confirm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError
from stages.embed.batches import FixedBatches, choose_device
from stages.embed.clip_folder import ClipFiles, clip_files, find_clip
from stages.embed.encoder import Digest, Embeddings, Encoder
from stages.embed.model_encoder import ModelEncoder
from stages.embed.parts import computed_by
from stages.embed.preparation import declared_preprocessing, preparation
from stages.embed.schema import EncoderManifest
from stages.embed.state import State, fit
from stages.embed.towers import Tower
from stages.embed.wanted import WantedFile

if TYPE_CHECKING:
    import torch

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_TEXTS: Final = 8
"""Most texts in a batch: there are few of them, and padding costs as much as texts."""
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
    model.float().eval().requires_grad_(requires_grad=False).to(batches.device)
    few = FixedBatches(batches.device, min(batch_size, _TEXTS))
    text = None if manifest.text is None else ClipText(manifest, found, model, few)
    size, declared = manifest.input_size, declared_preprocessing(manifest)
    prepare = preparation(size, declared, centre="floored")
    blocks = model.vision_model.encoder.layers
    return ModelEncoder(manifest, _image_tower(model), prepare, batches, text, blocks)


class ClipText:
    """The text half of a loaded CLIP."""

    def __init__(
        self,
        manifest: EncoderManifest,
        found: ClipFiles,
        model: torch.nn.Module,
        batches: FixedBatches,
    ) -> None:
        self._width = manifest.width
        self._embed = _text_tower(model)
        self._batches = batches
        self._context_length = manifest.text.context_length if manifest.text else 0
        self._tokenizer = _tokenizer(found, model)
        self._logit_scale = math.exp(float(model.logit_scale.item()))
        blocks = model.text_model.encoder.layers
        self.tower = Tower(self._embed, blocks, self._tokens, batches)

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
            self._embed,
            lambda part: self._tokens(list(texts[part])),
            len(texts),
            self._width,
        )

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of tokens of each text before cutting, start and end included."""
        # Not verbose: whether a text exceeds the context length is what is being asked.
        counts = [len(self._tokenizer(text, verbose=False).input_ids) for text in texts]
        return np.array(counts, np.int64)

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        """Return token ids and attention masks, int64 `(n, 2, context length)`."""
        import torch  # only once there is a model

        tokens = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._context_length,
            return_tensors="pt",
        )
        return torch.stack([tokens.input_ids, tokens.attention_mask], dim=1)


def _build(manifest: EncoderManifest, found: ClipFiles) -> torch.nn.Module:
    """Return the model with random weights; nothing is downloaded for it."""
    import torch  # only once there is something to load
    import transformers  # as above

    try:
        # Initialisation draws random numbers, which are all overwritten: leave the caller's alone.
        with torch.random.fork_rng(devices=[]):
            model: torch.nn.Module = transformers.CLIPModel(
                transformers.CLIPConfig.from_dict(found.config)
            )
    except Exception as error:  # transformers checks configurations with errors of many types
        reason = str(error).strip().split("\n")[0]
        message = f"{found.weights.parent}: its config.json is no {manifest.id}: {reason}"
        raise DataError(message) from error
    return model.float()


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
    try:
        # Never the code that a repository may bring along.
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        empty = tokenizer("").input_ids
    except Exception as error:  # the readers of tokenizer files raise errors of many types
        reason = str(error).strip().split("\n")[0]
        message = f"{folder}: its tokenizer files cannot be read: {reason}"
        raise DataError(message) from error
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
