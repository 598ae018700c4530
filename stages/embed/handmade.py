"""Encoders that are a fixed formula: no weights, no network, no text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError, UsageError
from stages.embed.encoder import (
    Digest,
    Embeddings,
    Encoder,
    EqualImages,
    Image,
    Images,
    checked_image,
    checked_images,
)
from stages.embed.schema import EncoderManifest
from stages.embed.wanted import WantedFile

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


@dataclass(frozen=True)
class Formula:
    """Loads a formula: what a family's module offers, `stages.embed.encoder.Loader`."""

    width: int
    input_size: int
    algorithm: int
    """Raised by hand when embeddings change."""
    describe: Callable[[EqualImages], Embeddings]
    """Returns the embeddings of a few images of one size."""

    def files(self, manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
        """Return none: a formula has no files."""
        del manifest, weights
        return ()

    def identity(
        self, manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
    ) -> dict[str, Json]:
        """Return the version of the formula, all that determines the embeddings."""
        del digest  # there is no file
        self._check(manifest, weights)
        return {"algorithm": self.algorithm}

    def load(
        self,
        manifest: EncoderManifest,
        weights: Path | None,
        *,
        device: str = "auto",
        batch_size: int = 64,
    ) -> Encoder:
        """Return the encoder; it always runs on the CPU, image by image."""
        del device, batch_size
        self._check(manifest, weights)
        return HandMade(self.width, self.describe)

    def _check(self, manifest: EncoderManifest, weights: Path | None) -> None:
        """Raise unless the manifest states the formula's size and no weights are given."""
        if weights is not None:
            message = f"{manifest.id} has no weights; leave --weights out"
            raise UsageError(message)
        declared = (manifest.width, manifest.input_size)
        if declared != (self.width, self.input_size):
            message = (
                f"encoder {manifest.id}: family {manifest.family} has width {self.width} and input "
                f"size {self.input_size}, the manifest says {declared[0]} and {declared[1]}"
            )
            raise DataError(message)
