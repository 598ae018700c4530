"""What all embedding stages share: an encoder loaded on demand, its parameters, and the gate."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import Json
from pipeline.errors import DataError, UsageError
from stages.embed.model_encoder import TEXTS
from stages.embed.probing import Probing
from stages.embed.processor import limit_threads
from stages.embed.schema import HAND_MADE, EncoderManifest

if TYPE_CHECKING:
    from stages.embed.encoder import Encoder, TextEncoder

Precision: TypeAlias = Literal["float32", "bf16", "fp16"]
"""In which products are computed; bf16 and fp16 by torch's automatic mixed precision."""
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
TOLERANCE: Final = {"float32": 1e-4, "float16": 1e-2}
"""Largest difference between two builds of an embedding, by dtype: devices round differently."""
MIXED_TOLERANCE: Final[Mapping[Precision, float]] = {"float32": 0.0, "bf16": 1e-1, "fp16": 2e-2}
"""Likewise by precision; the larger of the two counts."""
BATCH_SIZES: Final = {"cpu": 8, "cuda": 128}
"""Rows of a batch where none is asked for: a processor's caches prefer few, a GPU needs many."""


class LoadedOnce:
    """An encoder that is loaded when the first unit needs it, and once.

    Parameters
    ----------
    manifest : EncoderManifest
    weights : Path, optional
        Folder or file of the weights; none for the usual place.
    device : str
        "auto", "cpu", "cuda" or "cuda:<number>"; a resource.
    batch_size : int, optional
        Rows of a batch; a resource. By default what suits the device.
    precision : str
        In which products are computed; changes embeddings, so is part of the key.

    Raises
    ------
    UsageError
        If a fixed formula, which has no products, is asked for in another precision.
    """

    def __init__(
        self,
        manifest: EncoderManifest,
        weights: Path | None,
        device: str,
        batch_size: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        if precision != "float32" and manifest.family in HAND_MADE:
            message = (
                f"{manifest.id} is a fixed formula: it has no precision, leave --precision out"
            )
            raise UsageError(message)
        self.manifest = manifest
        self.precision = precision
        self._weights = weights
        self._device = device
        self._batch_size = batch_size
        self.probing = Probing()
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None

    @property
    def tolerance(self) -> float:
        """Largest difference between two builds of an embedding."""
        return max(TOLERANCE[self.manifest.dtype], MIXED_TOLERANCE[self.precision])

    @property
    def batch_rows(self) -> int:
        """How many images a batch has that is always computed whole; 0 for a formula."""
        if self.manifest.family in HAND_MADE:
            return 0
        return self._batch_size or BATCH_SIZES[self._device_type()]

    @property
    def batch_texts(self) -> int:
        """Likewise of texts."""
        return min(self.batch_rows, TEXTS)

    @property
    def at_once(self) -> bool | int:
        """How many units may run at once: any number of a formula, of a learned model few.

        A learned model uses its whole device for one unit. On a GPU a second one is prepared
        meanwhile, and the one before it written.
        """
        if self.manifest.family in HAND_MADE:
            return True
        return 2 if self._device_type() == "cuda" else False

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which the encoder computes in its precision."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        import torch  # a family that has a precision loads it anyway

        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        context: contextlib.AbstractContextManager[object] = torch.autocast(
            self._device_type(), dtype=dtype
        )
        return context

    def _device_type(self) -> str:
        """Return "cpu" or "cuda"."""
        if self._device == "cpu":
            return "cpu"
        import torch  # as above

        return "cuda" if torch.cuda.is_available() else "cpu"

    def get(self) -> Encoder:
        """Return the encoder."""
        from stages.embed.loaders import loader  # a family may load torch

        with self._lock:
            if self._encoder is None:
                family = loader(self.manifest.family)
                formula = self.manifest.family in HAND_MADE
                default = 0 if formula else BATCH_SIZES[self._device_type()]
                if not formula and self._device_type() == "cpu":
                    limit_threads()
                self._encoder = family.load(
                    self.manifest,
                    self._weights,
                    device=self._device,
                    batch_size=self._batch_size or default,
                )
            return self._encoder

    def text(self) -> TextEncoder:
        """Return its text half.

        Raises
        ------
        DataError
            If it has none.
        """
        text = self.get().text
        if text is None:
            message = f"{self.manifest.id} embeds no text"
            raise DataError(message)
        return text


def encoder_parameters(encoder: LoadedOnce, identity: Mapping[str, Json]) -> dict[str, Json]:
    """Return what determines the output of an encoder: its name, its files, how it is stored.

    The precision too, where it is not float32.
    """
    manifest = encoder.manifest
    mixed: dict[str, Json] = (
        {} if encoder.precision == "float32" else {"precision": encoder.precision}
    )
    return {
        "encoder": manifest.id,
        "family": manifest.family,
        "dtype": manifest.dtype,
        "width": manifest.width,
        "identity": dict(identity),
        **mixed,
    }


def encoder_attributes(manifest: EncoderManifest) -> dict[str, Any]:
    """Return what artifacts say of their encoder beside what determines them."""
    return {
        "encoder_title": manifest.title,
        "encoder_kind": manifest.kind,
        "pretraining_data": list(manifest.pretraining_data),
    }


def bytes_per_row(manifest: EncoderManifest) -> int:
    """Return the bytes of one stored embedding."""
    return manifest.width * np.dtype(manifest.dtype).itemsize


def require_shape(
    found: NDArray[np.floating[Any]], names: Sequence[str], encoder: str, shape: tuple[int, ...]
) -> None:
    """Refuse what an encoder returned unless it is one row of the declared shape per name.

    An array of one row or one column would else be repeated without a word.

    Raises
    ------
    DataError
        Naming the first row.
    """
    if found.shape != (len(names), *shape):
        declared = " x ".join(map(str, shape))
        first = f", the first of them {names[0]!r}" if names else ""
        message = (
            f"{encoder} returned embeddings of shape {found.shape} for {len(names)} "
            f"inputs{first}: its manifest declares {declared} components each"
        )
        raise DataError(message)


def require_usable(
    embeddings: NDArray[np.floating[Any]],
    names: Sequence[str],
    present: NDArray[np.bool_] | None = None,
    start: int = 0,
) -> None:
    """Refuse rows with NaN, Inf or zero norm, naming the first.

    Parameters
    ----------
    embeddings : ndarray
        `(n, width)`, in the type in which they are stored.
    names : sequence of str
        Of the rows, for the message.
    present : ndarray, optional
        Which rows have something to embed, by default all; the others must be NaN throughout.
    start : int
        Number of the first row in the artifact, for the message.

    Raises
    ------
    DataError
        If there is such a row.
    """
    usable = np.isfinite(embeddings).all(axis=1) & embeddings.any(axis=1)
    if present is not None:
        usable = np.where(present, usable, np.isnan(embeddings).all(axis=1))
    if usable.all():
        return
    row = int(np.argmin(usable))
    if present is not None and not present[row]:
        fault = "is not NaN, though there is nothing to embed"
    elif np.isnan(embeddings[row]).any():
        fault = "holds NaN"
    elif np.isinf(embeddings[row]).any():
        fault = f"is infinite in {embeddings.dtype}"
    else:
        fault = f"is zero in {embeddings.dtype}"
    message = (
        f"the embedding of {names[row]!r} (row {start + row}) {fault}; unusable: "
        f"{int((~usable).sum())} of {len(usable)} embeddings"
    )
    raise DataError(message)
