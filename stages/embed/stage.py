"""Embeds sealed image sets and class prompts with a frozen encoder."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.errors import DataError, UsageError
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed.schema import HAND_MADE, EncoderManifest

if TYPE_CHECKING:
    from stages.embed.encoder import Encoder

EMBEDDINGS = "embeddings"
PROMPT_EMBEDDINGS = "prompt-embeddings"
VERSION = 1
BATCH = 64
"""Images encoded at once: bounds the memory beside the two shards."""
TOLERANCE = {"float32": 1e-4, "float16": 1e-2}
"""Largest difference between two builds of an embedding, by dtype: devices round differently."""


class LoadedOnce:
    """An encoder that is loaded when the first unit needs it, and once."""

    def __init__(self, manifest: EncoderManifest, weights: Path | None, device: str) -> None:
        self.manifest = manifest
        self._weights = weights
        self._device = device
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None

    def get(self) -> Encoder:
        """Return the encoder."""
        from stages.embed.loaders import loader  # a family may load torch

        with self._lock:
            if self._encoder is None:
                family = loader(self.manifest.family)
                self._encoder = family.load(self.manifest, self._weights, device=self._device)
            return self._encoder


@dataclass(frozen=True, slots=True)
class ClassPrompt:
    """One text to embed, and the class it stands for."""

    template: str
    """Name of the template set."""
    class_id: int
    class_name: str
    text: str
    absent: bool = False
    """Whether the text says that the class is absent."""


class EmbedImages:
    """Embeds the rows of a unit."""

    def __init__(self, encoder: LoadedOnce) -> None:
        self._encoder = encoder

    @property
    def parallel(self) -> bool:
        """Whether several units may run at once: a learned model uses all cores by itself."""
        return self._encoder.manifest.family in HAND_MADE

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one un-normalised embedding per image, in index order."""
        images = inputs["images"].array("images")
        index = inputs["images"].index(["id"], unit.start, unit.stop)
        encoder = self._encoder.get()
        manifest = self._encoder.manifest
        embeddings = writer.array("embeddings", manifest.dtype, (manifest.width,))
        for start in range(unit.start, unit.stop, BATCH):
            stop = min(unit.stop, start + BATCH)
            encoded = encoder.encode_images(images.rows(start, stop))
            embeddings[start - unit.start : stop - unit.start] = encoded
        require_usable(embeddings, index["id"].to_pylist())
        writer.table(index)


class EmbedPrompts:
    """Embeds class prompts with the text tower of an encoder."""

    parallel = False

    def __init__(self, encoder: LoadedOnce, prompts: Sequence[ClassPrompt]) -> None:
        self._encoder = encoder
        self._prompts = prompts

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one un-normalised embedding per text, with the logit scale beside them."""
        import pyarrow as pa

        from pipeline.tables import column

        del inputs
        encoder = self._encoder.get().text
        manifest = self._encoder.manifest
        if encoder is None:
            message = f"{manifest.id} embeds no text"
            raise DataError(message)
        prompts = self._prompts[unit.start : unit.stop]
        texts = [prompt.text for prompt in prompts]
        embeddings = writer.array("embeddings", manifest.dtype, (manifest.width,))
        embeddings[:] = encoder.encode_texts(texts)
        require_usable(embeddings, texts)
        schema = pa.schema(
            [
                column("template", pa.string(), "", "name of the template set"),
                column("class_id", pa.int32(), "1", "class id the text stands for"),
                column("class_name", pa.string(), "", "name of that class"),
                column("text", pa.string(), "", "the text that was embedded"),
                column("tokens", pa.int32(), "token", "length before truncation"),
            ]
        )
        values = [
            [prompt.template for prompt in prompts],
            [prompt.class_id for prompt in prompts],
            [prompt.class_name for prompt in prompts],
            texts,
            encoder.token_counts(texts),
        ]
        table = pa.table(values, schema=schema)
        absent = [prompt.absent for prompt in self._prompts]
        if any(absent):
            field = column("absent", pa.bool_(), "", "whether the text says the class is absent")
            table = table.append_column(field, pa.array(absent[unit.start : unit.stop]))
        writer.table(table)
        writer.attributes["logit_scale"] = encoder.logit_scale


def encoder_parameters(manifest: EncoderManifest, identity: Mapping[str, Json]) -> dict[str, Json]:
    """Return what determines the output of an encoder: its name, its files, how it is stored."""
    return {
        "encoder": manifest.id,
        "family": manifest.family,
        "dtype": manifest.dtype,
        "width": manifest.width,
        "identity": dict(identity),
    }


def image_node(encoder: LoadedOnce, identity: Mapping[str, Json], images: Node) -> Node:
    """Return the embeddings of an image artifact, named ``<encoder>/<name of the images>``.

    Raises
    ------
    UsageError
        If the images keep their native size.
    """
    if images.attributes.get("task") == "segmentation":
        message = f"{images.recipe.name} has masks and images of mixed size: it is not embedded yet"
        raise UsageError(message)
    manifest = encoder.manifest
    row_bytes = manifest.width * np.dtype(manifest.dtype).itemsize
    return Node(
        Recipe(
            EMBEDDINGS,
            f"{manifest.id}/{images.recipe.name}",
            VERSION,
            encoder_parameters(manifest, identity),
            {"images": images.recipe},
        ),
        EmbedImages(encoder),
        rows=images.rows,
        row_bytes=row_bytes,
        slots=images.slots,
        inputs={"images": images},
        attributes=_attributes(manifest),
        tolerance=TOLERANCE[manifest.dtype],
    )


def prompt_node(
    encoder: LoadedOnce,
    identity: Mapping[str, Json],
    dataset: str,
    prompt_set: str,
    prompts: Sequence[ClassPrompt],
) -> Node:
    """Return the class prompt embeddings ``<encoder>/<dataset>/<prompt set>``."""
    manifest = encoder.manifest
    parameters = encoder_parameters(manifest, identity)
    parameters["prompts"] = [
        [
            prompt.template,
            prompt.class_id,
            prompt.class_name,
            prompt.text,
            *(["absent"] if prompt.absent else []),
        ]
        for prompt in prompts
    ]
    row_bytes = manifest.width * np.dtype(manifest.dtype).itemsize
    return Node(
        Recipe(PROMPT_EMBEDDINGS, f"{manifest.id}/{dataset}/{prompt_set}", VERSION, parameters),
        EmbedPrompts(encoder, prompts),
        rows=len(prompts),
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, len(prompts)),
        attributes=_attributes(manifest),
        tolerance=TOLERANCE[manifest.dtype],
    )


def require_usable(embeddings: NDArray[np.floating[Any]], names: Sequence[str]) -> None:
    """Refuse rows with NaN, Inf or zero norm, naming the first.

    Raises
    ------
    DataError
        If there is such a row.
    """
    unusable = ~np.isfinite(embeddings).all(axis=1) | ~embeddings.any(axis=1)
    if unusable.any():
        first = names[int(np.argmax(unusable))]
        message = f"{int(unusable.sum())} embeddings are NaN, infinite or zero, first: {first!r}"
        raise DataError(message)


def _attributes(manifest: EncoderManifest) -> dict[str, Any]:
    return {
        "encoder_title": manifest.title,
        "encoder_kind": manifest.kind,
        "pretraining_data": list(manifest.pretraining_data),
    }
