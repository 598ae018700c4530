"""Embeds sealed image sets and class prompts with a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.recipe import Recipe
from pipeline.recompute import Again
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed.gated import Inputs, embed_again, embed_rows
from stages.embed.loaded import LoadedOnce, bytes_per_row, encoder_attributes, encoder_parameters
from stages.embed.prompt_rows import PROMPT_EMBEDDINGS
from stages.embed.stored import positions, present_rows, sample_rows, stored_images, within
from stages.vocabulary import EMBEDDINGS

VERSION = 1
AT_ONCE = 4096
"""Most inputs that an encoder is given at once, images to be read when it needs them: bounds the
memory of their embeddings beside the shard."""


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
    def parallel(self) -> bool | int:
        """How many units may run at once."""
        return self._encoder.at_once

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one un-normalised embedding per image, in index order.

        A row without an image, which only images of mixed size may have, is NaN and says why.
        """
        clean = inputs["images"]
        index = sample_rows(clean, unit.start, unit.stop)
        present = present_rows(index)
        rows = within(unit.start, present)
        given = Inputs(
            self._encoder.get().encode_images,
            lambda chosen: stored_images(clean, [rows[one] for one in chosen]),
            positions(present),
            index["id"].to_pylist(),
            self._encoder.batch_rows,
            AT_ONCE,
        )
        embed_rows(self._encoder, unit, writer, given)
        writer.table(index)

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return rows of the embeddings of `node`, embedded once more."""
        clean = inputs["images"]
        index = sample_rows(clean, 0, node.rows).take(list(rows))
        source = positions(present_rows(index))
        images = stored_images(
            clean, [row for row, at in zip(rows, source, strict=True) if at >= 0]
        )
        found = embed_again(self._encoder, self._encoder.get().encode_images, images, source)
        return Again(index["id"].to_pylist(), found)


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
        encoder = self._encoder.text()
        prompts = self._prompts[unit.start : unit.stop]
        texts = [prompt.text for prompt in prompts]
        given = Inputs(
            encoder.encode_texts,
            lambda chosen: [texts[one] for one in chosen],
            np.arange(len(texts)),
            texts,
            self._encoder.batch_texts,
            AT_ONCE,
        )
        embed_rows(self._encoder, unit, writer, given)
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

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return rows of the embeddings of `node`, embedded once more."""
        del node, inputs
        texts = [self._prompts[row].text for row in rows]
        encode = self._encoder.text().encode_texts
        return Again(texts, embed_again(self._encoder, encode, texts, range(len(texts))))


def image_node(encoder: LoadedOnce, identity: Mapping[str, Json], images: Node) -> Node:
    """Return the embeddings of an image artifact, named ``<encoder>/<name of the images>``."""
    manifest = encoder.manifest
    row_bytes = bytes_per_row(manifest)
    return Node(
        Recipe(
            EMBEDDINGS,
            f"{manifest.id}/{images.recipe.name}",
            VERSION,
            encoder_parameters(encoder, identity),
            {"images": images.recipe},
        ),
        EmbedImages(encoder),
        rows=images.rows,
        row_bytes=row_bytes,
        slots=images.slots,
        inputs={"images": images},
        attributes=encoder_attributes(manifest),
        tolerance=encoder.tolerance,
        aligned="images",
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
    parameters = encoder_parameters(encoder, identity)
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
    row_bytes = bytes_per_row(manifest)
    return Node(
        Recipe(PROMPT_EMBEDDINGS, f"{manifest.id}/{dataset}/{prompt_set}", VERSION, parameters),
        EmbedPrompts(encoder, prompts),
        rows=len(prompts),
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, len(prompts)),
        attributes=encoder_attributes(manifest),
        tolerance=encoder.tolerance,
    )
