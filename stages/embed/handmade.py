"""Encoders that are a fixed formula: no weights, no network, no text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import DataError, UsageError
from stages.embed.encoder import (
    Embeddings,
    EqualImages,
    Image,
    Images,
    checked_image,
    checked_images,
)
from stages.embed.schema import EncoderManifest

_BLOCK = 64
_BLOCK_BYTES = 16 << 20
"""Most images, and about the bytes of them, described at a time; changes nothing in the result."""


@dataclass(frozen=True)
class HandMade:
    """An encoder made of one function that describes each image by itself."""

    width: int
    """Number of components of an embedding."""
    describe: Callable[[EqualImages], Embeddings]
    """Returns the embeddings of a few images of one size."""
    text: None = None
    """It reads no text."""

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image, float32 `(n, width)`."""
        embeddings = np.empty((len(checked_images(images)), self.width), np.float32)
        start = 0
        for block in _blocks(images):
            embeddings[start : start + len(block)] = self.describe(block)
            start += len(block)
        return embeddings


def _blocks(images: Images) -> Iterator[EqualImages]:
    """Yield the images in order, neighbours of one size together."""
    if isinstance(images, np.ndarray):
        for start in range(0, len(images), _BLOCK):
            yield images[start : start + _BLOCK]
        return
    block: list[Image] = []
    for image in images:
        full = len(block) == _BLOCK or sum(one.nbytes for one in block) >= _BLOCK_BYTES
        if block and (full or checked_image(image).shape != block[0].shape):
            yield np.stack(block)
            block = []
        block.append(checked_image(image))
    if block:
        yield np.stack(block)


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
