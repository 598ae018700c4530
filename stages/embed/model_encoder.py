"""An encoder made of functions of a loaded model, with or without a text half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, first_line
from stages.embed.batches import FixedBatches
from stages.embed.encoder import Embeddings, Images, checked_images
from stages.embed.preparation import Prepare, prepared
from stages.embed.towers import Tower

if TYPE_CHECKING:
    import torch

Embed: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""From a batch of what a tower reads to its embeddings."""
Blocks: TypeAlias = "Callable[[], Sequence[torch.nn.Module]]"
"""Finds the blocks of a tower, in the order of computation."""
TEXTS: Final = 8
"""Most texts in a batch: there are few of them, and padding costs as much as texts."""


@dataclass(frozen=True)
class ModelText:
    """The text half of a loaded model."""

    width: int
    """Number of components of an embedding."""
    context_length: int
    """Number of tokens read of a text, start and end included."""
    logit_scale: float
    """Learned factor (the exponential is taken) between cosine similarity and logits."""
    embed: Embed
    tokens: Callable[[list[str]], torch.Tensor]
    """From texts to what the tower reads, one row for each."""
    count: Callable[[str], int]
    """Number of tokens of a text before cutting, start and end included."""
    blocks: Blocks
    batches: FixedBatches

    @property
    def tower(self) -> Tower:
        """The blocks of the text tower."""
        return Tower(self.embed, self.blocks(), self.tokens, self.batches)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embedding of each text, float32 `(n, width)`."""
        return self.batches.run(
            self.embed, lambda part: self.tokens(list(texts[part])), len(texts), self.width
        )

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of tokens of each text before cutting, start and end included."""
        return np.array([self.count(text) for text in texts], np.int64)


@dataclass(frozen=True)
class ModelEncoder:
    """A loaded model."""

    width: int
    """Number of components of an embedding."""
    embed: Embed
    prepare: Prepare
    batches: FixedBatches
    text: ModelText | None
    """The text half; none for a vision-only encoder."""
    blocks: Blocks

    @property
    def tower(self) -> Tower:
        """The blocks of the image tower."""
        return Tower(self.embed, self.blocks(), self.prepare_images, self.batches)

    def prepare_images(self, images: Images) -> torch.Tensor:
        """Return the model's input for `images`, float32 `(n, 3, input size, input size)`."""
        return prepared(images, self.prepare)

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image, float32 `(n, width)`."""
        return self.batches.run(
            self.embed,
            lambda part: self.prepare_images(images[part]),
            len(checked_images(images)),
            self.width,
        )


def text_batches(batches: FixedBatches) -> FixedBatches:
    """Return how texts are cut, where images are cut as `batches` says."""
    return FixedBatches(batches.device, min(batches.size, TEXTS))


def built(build: Callable[[], torch.nn.Module], refusal: str) -> torch.nn.Module:
    """Return a model with random weights, which are to be overwritten; nothing is downloaded.

    Raises
    ------
    DataError
        If its configuration is refused: `refusal`, and the reason.
    """
    import torch  # only once there is something to load

    try:
        # Initialisation draws random numbers: leave those of the caller alone.
        with torch.random.fork_rng(devices=[]):
            return build()
    except Exception as error:  # every library refuses configurations in its own way
        message = f"{refusal}: {first_line(error)}"
        raise DataError(message) from error


def placed(model: torch.nn.Module, batches: FixedBatches) -> torch.nn.Module:
    """Return a model that only computes, in float32, on the device of its batches."""
    model.float().eval().requires_grad_(requires_grad=False).to(batches.device)
    return model


def read_tokenizer(read: Callable[..., Any], folder: Path, **options: Any) -> Any:  # noqa: ANN401
    """Return a tokenizer of transformers from files; one that cannot be read is a `DataError`."""
    try:
        tokenizer = read(str(folder), local_files_only=True, **options)
        tokenizer("")
    except Exception as error:  # the readers of tokenizer files raise errors of many types
        message = f"{folder}: its tokenizer files cannot be read: {first_line(error)}"
        raise DataError(message) from error
    return tokenizer


def padded_tokens(
    tokenizer: Callable[..., Any], context_length: int
) -> Callable[[list[str]], torch.Tensor]:
    """Return token ids and attention masks of texts, int64 `(n, 2, context length)`."""
    import torch  # only once there is a model

    def tokens(texts: list[str]) -> torch.Tensor:
        found = tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=context_length,
            return_tensors="pt",
        )
        return torch.stack([found.input_ids, found.attention_mask], dim=1)

    return tokens


def token_count(tokenizer: Callable[..., Any], text: str) -> int:
    """Return the number of tokens of a text before cutting, start and end included."""
    # Not verbose: whether a text exceeds the context length is what is being asked.
    return len(tokenizer(text, verbose=False).input_ids)
