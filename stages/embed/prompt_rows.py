"""Embeds every row of sealed prompts: all designs, variants and swaps of every image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed.loaded import (
    LoadedOnce,
    bytes_per_row,
    encoder_attributes,
    encoder_parameters,
    require_usable,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PROMPTS = "prompts"
"""Stage of the artifacts whose rows are embedded."""
PROMPT_EMBEDDINGS = "prompt-embeddings"
VERSION = 1
_COLUMNS = ["sample", "target", "status", "error", "prompt", "variant", "change", "text"]


class EmbedPromptRows:
    """Embeds the texts of a unit's rows; texts that are equal are encoded once."""

    parallel = False

    def __init__(self, encoder: LoadedOnce) -> None:
        self._encoder = encoder

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one un-normalised embedding per row, in the order of the prompts.

        The row of a target that failed has no text: it is NaN and keeps its status and error. An
        empty text (P0) is a text like any other.
        """
        index = inputs["prompts"].index(_COLUMNS, unit.start, unit.stop)
        texts = index["text"].to_pylist()
        present = np.array([text is not None for text in texts], np.bool_)
        unique = list(dict.fromkeys(text for text in texts if text is not None))
        position = {text: row for row, text in enumerate(unique)}
        chosen = [position[text] for text in texts if text is not None]
        encoder, manifest = self._encoder.text(), self._encoder.manifest
        embeddings = writer.array("embeddings", manifest.dtype, (manifest.width,))
        embeddings[:] = np.nan
        with self._encoder.computing():
            embeddings[present] = encoder.encode_texts(unique)[chosen]
        names = [f"{row['sample']} {row['prompt']}: {row['text']}" for row in index.to_pylist()]
        require_usable(embeddings, names, present)
        counts = encoder.token_counts(unique)[chosen]
        writer.table(_described(index, present, counts, encoder.context_length))
        writer.attributes["logit_scale"] = encoder.logit_scale
        writer.attributes["context_length"] = encoder.context_length


def _described(
    index: pa.Table, present: NDArray[np.bool_], counts: NDArray[np.int64], context_length: int
) -> pa.Table:
    """Return the rows with the number of tokens of their texts, null where there is none."""
    import pyarrow as pa

    from pipeline.tables import column

    tokens = np.zeros(len(present), np.int64)
    tokens[present] = counts
    for field, values in (
        (column("tokens", pa.int32(), "token", "length before truncation"), tokens),
        (
            column("truncated", pa.bool_(), "", "whether the text is longer than what is read"),
            tokens > context_length,
        ),
    ):
        index = index.append_column(field, pa.array(values, field.type, mask=~present))
    return index


def prompt_rows_node(encoder: LoadedOnce, identity: Mapping[str, Json], prompts: Node) -> Node:
    """Return the embeddings of sealed prompts, named ``<encoder>/<rules>/<dataset>/<split>``.

    Raises
    ------
    UsageError
        If the encoder reads no text.
    """
    manifest = encoder.manifest
    if manifest.kind == "vision-only":
        message = (
            f"{manifest.id} is a vision-only encoder: it embeds no text, so leave --prompts out or "
            "name a vision-language encoder (see `pipeline list encoders`)"
        )
        raise UsageError(message)
    row_bytes = bytes_per_row(manifest)
    return Node(
        Recipe(
            PROMPT_EMBEDDINGS,
            f"{manifest.id}/{prompts.recipe.name}",
            VERSION,
            encoder_parameters(encoder, identity),
            {"prompts": prompts.recipe},
        ),
        EmbedPromptRows(encoder),
        rows=prompts.rows,
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, prompts.rows),
        inputs={"prompts": prompts},
        attributes=encoder_attributes(manifest),
        tolerance=encoder.tolerance,
    )
