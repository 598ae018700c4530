"""What every encoder offers, whatever its family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import Json
from pipeline.errors import DataError
from stages.embed.schema import EncoderManifest

Images: TypeAlias = NDArray[np.uint8]
"""Images, `(n, height, width, channels)`, 0..255, one channel (gray) or three (RGB)."""
Embeddings: TypeAlias = NDArray[np.float32]
"""Un-normalised embeddings, `(n, width)`, one row per input in the order given."""
Digest: TypeAlias = Callable[[Path], str]
"""Function from a file to the digest of its bytes; it may remember digests of large files."""


class TextEncoder(Protocol):
    """The half of a vision-language encoder that reads texts."""

    @property
    def context_length(self) -> int:
        """Number of tokens read of a text, start and end included."""

    @property
    def logit_scale(self) -> float:
        """Learned factor (the exponential is taken) between cosine similarity and logits."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embedding of each text, cut at the context length."""

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of tokens of each text before cutting, start and end included."""


class Encoder(Protocol):
    """A loaded encoder, ready to embed."""

    @property
    def width(self) -> int:
        """Number of components of an embedding."""

    @property
    def text(self) -> TextEncoder | None:
        """The text half; none for a vision-only encoder."""

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image; preparing the pixels is part of it.

        Raises
        ------
        DataError
            If `images` is not an array of the stated shape and type.
        """


class Loader(Protocol):
    """What each module of `stages.embed.loaders` offers."""

    def identity(
        self, manifest: EncoderManifest, weights: Path | None, *, digest: Digest = ...
    ) -> dict[str, Json]:
        """Return all that determines the embeddings, except in which type they are stored.

        Reads files only and imports no torch, so that a plan can be settled without it.

        Raises
        ------
        MissingInputError
            Naming every missing file, where it is published and where to put it.
        DataError
            If what lies beside the weights disagrees with the manifest.
        """

    def load(
        self,
        manifest: EncoderManifest,
        weights: Path | None,
        *,
        device: str = ...,
        batch_size: int = ...,
    ) -> Encoder:
        """Return the encoder; `weights` is what `--weights` gave, none for the usual place.

        `device` ("auto", "cpu", "cuda", "cuda:1") and `batch_size` are resources: they change
        embeddings by rounding only.

        Raises
        ------
        MissingInputError, DataError
            As `identity`; and for files that are no weights or those of another model.
        UsageError
            For a device that is not there.
        """


def checked_images(images: Images) -> Images:
    """Return `images`, or raise `DataError` unless it is uint8 `(n, h, w, 1 or 3)`."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in {1, 3}:
        message = (
            f"images to embed are uint8 (n, height, width, 1 or 3), "
            f"not {images.dtype} {images.shape}"
        )
        raise DataError(message)
    return images
