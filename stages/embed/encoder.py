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
from stages.embed.wanted import WantedFile

Image: TypeAlias = NDArray[np.uint8]
"""An image, `(height, width, channels)`, 0..255, one channel (gray) or three (RGB)."""
EqualImages: TypeAlias = NDArray[np.uint8]
"""Images of one size, `(n, height, width, channels)`."""
Images: TypeAlias = EqualImages | Sequence[Image]
"""Images that may each have a size of their own: an array of equal ones, or any sequence.

A sequence that reads its images when they are asked for is asked for one after the other, a slice
at a time, so that memory does not grow with their number; its slices are such sequences too.
"""
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
            If an image is not of the stated shape and type.
        """


class Loader(Protocol):
    """What each module of `stages.embed.loaders` offers."""

    PACKAGES: tuple[str, ...]
    """Names, as imported, of the packages that the family needs beside NumPy."""

    def files(self, manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
        """Return the files of the encoder, present or missing; none where it learned nothing.

        Reads small files only and imports no torch.

        Raises
        ------
        MissingInputError, DataError
            If `weights` cannot hold them, or what lies there disagrees with the manifest.
        """

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
    """Return `images`, or raise `DataError` unless all are uint8 `(h, w, 1 or 3)`.

    Those of a sequence that reads them on demand are checked as they come, by `checked_image`.
    """
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in {1, 3}:
            message = (
                f"images to embed are uint8 (n, height, width, 1 or 3), "
                f"not {images.dtype} {images.shape}"
            )
            raise DataError(message)
    elif isinstance(images, (list, tuple)):
        for image in images:
            checked_image(image)
    return images


def checked_image(image: Image) -> Image:
    """Return `image`, or raise `DataError` unless it is uint8 `(h, w, 1 or 3)` and has pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in {1, 3} or not image.size:
        message = (
            f"an image to embed is uint8 (height, width, 1 or 3), not {image.dtype} {image.shape}"
        )
        raise DataError(message)
    return image
