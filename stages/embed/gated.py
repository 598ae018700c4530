"""Embeds the rows of a unit through the gates that every embedding passes before it is sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.unit import Unit, UnitWriter
from stages.embed.encoder import Embeddings
from stages.embed.loaded import LoadedOnce, require_shape, require_usable
from stages.embed.probing import record_probe

ARRAY = "embeddings"
"""Name of the array that holds them."""


@dataclass(frozen=True)
class Items:
    """What is stored of each row."""

    array: str
    """Name of the array."""
    dtype: str
    shape: tuple[int, ...]
    tolerance: float
    """Largest difference between two builds of a component."""


def embeddings_of(encoder: LoadedOnce) -> Items:
    """Return what is stored as the embedding of a row."""
    manifest = encoder.manifest
    return Items(ARRAY, manifest.dtype, (manifest.width,), encoder.tolerance)


@dataclass(frozen=True)
class Inputs:
    """What an encoder is given for the rows of a unit; rows may share an input, or have none."""

    encode: Callable[[Any], Embeddings]
    """Returns the embeddings of inputs, `(n, width)`, or other items, `(n, *shape)`."""
    take: Callable[[Sequence[int]], Any]
    """Returns the inputs at positions, a sequence whose slices are such sequences."""
    source: NDArray[np.int64]
    """Position of the input of each row; negative where there is none."""
    names: Sequence[str]
    """Of the rows, for messages."""
    batch: int
    """Inputs that are always computed together; 0 where each is alone."""
    at_once: int
    """Most inputs that `encode` is given in one call."""

    @property
    def count(self) -> int:
        """Number of inputs."""
        return int(self.source.max(initial=-1)) + 1

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each input."""
        rows = np.zeros(self.count, np.int64)
        present = np.flatnonzero(self.source >= 0)[::-1]
        rows[self.source[present]] = present
        return rows


def embed_rows(
    encoder: LoadedOnce,
    unit: Unit,
    writer: UnitWriter,
    inputs: Inputs,
    items: Items | None = None,
) -> None:
    """Write one un-normalised embedding per row; a row without an input is NaN.

    A few inputs are embedded once more after the others, to see that they come out the same.

    Parameters
    ----------
    items : Items, optional
        What is stored instead of an embedding.

    Raises
    ------
    DataError
        If an embedding has another shape than declared, holds NaN or Inf, or is zero.
    NonDeterminismError
        If an input embedded again differs by more than the encoder's tolerance.
    """
    items, count = items or embeddings_of(encoder), inputs.count
    embeddings = writer.array(items.array, items.dtype, items.shape)
    embeddings[:] = np.nan
    probed = encoder.probing.inputs(unit, count, inputs.batch, inputs.at_once)
    order = [*range(count), *probed]
    row_of, given = inputs.first_rows[order], inputs.take(order)
    again = np.empty((0, *items.shape), np.float32)
    with encoder.computing():
        for start in range(0, count, inputs.at_once):
            stop = min(start + inputs.at_once, count)
            part = slice(start, len(order) if stop == count else stop)
            found = inputs.encode(given[part])
            names = [inputs.names[row] for row in row_of[part]]
            require_shape(found, names, encoder.manifest.id, items.shape)
            here = (inputs.source >= start) & (inputs.source < stop)
            with np.errstate(over="ignore"):  # infinite in float16: refused below by name
                embeddings[here] = found[inputs.source[here] - start]
            again = found[stop - start :]
    flat = embeddings.reshape(len(embeddings), -1)
    require_usable(flat, inputs.names, inputs.source >= 0, unit.start)
    rows = row_of[count:]
    names = [inputs.names[row] for row in rows]
    second = again.reshape(len(again), flat.shape[1])
    record_probe(writer, flat[rows], second, names, items.tolerance)


def embed_again(
    encoder: LoadedOnce,
    encode: Callable[[Any], Embeddings],
    given: Sequence[Any],
    source: Sequence[int] | NDArray[np.int64],
    items: Items | None = None,
) -> Mapping[str, Sequence[NDArray[Any]]]:
    """Return the rows of an embeddings artifact that inputs stand for, as they would be stored.

    Parameters
    ----------
    given
        The inputs, as `encode` takes them.
    source : sequence of int
        Position of the input of each row; negative where there is none.
    items : Items, optional
        What is stored instead of an embedding.
    """
    items = items or embeddings_of(encoder)
    rows = np.full((len(source), *items.shape), np.nan, items.dtype)
    present = np.asarray(source, np.int64) >= 0
    if present.any():
        with encoder.computing():
            found = encode(given)
        require_shape(found, list(map(str, range(len(given)))), encoder.manifest.id, items.shape)
        with np.errstate(over="ignore"):  # infinite in float16: differs from what is stored
            rows[present] = found[np.asarray(source)[present]]
    return {items.array: list(rows)}
