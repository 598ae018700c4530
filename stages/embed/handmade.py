"""Encoders that are a fixed formula: no weights, no network, no text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import DataError, UsageError
from stages.embed.encoder import Embeddings, Images, checked_images
from stages.embed.schema import EncoderManifest

_BLOCK = 64
"""Images described at a time, which bounds the memory; it changes nothing in the result."""


@dataclass(frozen=True)
class HandMade:
    """An encoder made of one function that describes each image by itself."""

    width: int
    """Number of components of an embedding."""
    describe: Callable[[Images], Embeddings]
    """Returns the embeddings of a few images."""
    text: None = None
    """It reads no text."""

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image, float32 `(n, width)`."""
        embeddings = np.empty((len(checked_images(images)), self.width), np.float32)
        for start in range(0, len(images), _BLOCK):
            block = slice(start, start + _BLOCK)
            embeddings[block] = self.describe(images[block])
        return embeddings


def check_declared(
    manifest: EncoderManifest, weights: Path | None, *, width: int, input_size: int
) -> None:
    """Raise unless a hand-made encoder's manifest states its size and no weights are given."""
    if weights is not None:
        message = f"{manifest.id} has no weights; leave --weights out"
        raise UsageError(message)
    declared = (manifest.width, manifest.input_size)
    if declared != (width, input_size):
        message = (
            f"encoder {manifest.id}: family {manifest.family} has width {width} and input size "
            f"{input_size}, the manifest says {declared[0]} and {declared[1]}"
        )
        raise DataError(message)
