"""Embeds every row of sealed prompts: all designs, variants and swaps of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.recompute import Again
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed.gated import Inputs, embed_again, embed_rows
from stages.embed.loaded import LoadedOnce, bytes_per_row, encoder_attributes, encoder_parameters

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from stages.embed.encoder import TextEncoder

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
        texts = TextRows.read(inputs["prompts"], unit.start, unit.stop)
        encoder = self._encoder.text()
        given = Inputs(
            encoder.encode_texts,
            lambda chosen: [texts.unique[one] for one in chosen],
            texts.source,
            texts.names,
            self._encoder.batch_texts,
            max(1, len(texts.unique)),
        )
        embed_rows(self._encoder, unit, writer, given)
        writer.table(texts.described(encoder))
        writer.attributes["logit_scale"] = encoder.logit_scale
        writer.attributes["context_length"] = encoder.context_length

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return rows of the embeddings of `node`, embedded once more."""
        texts = TextRows.read(inputs["prompts"], 0, node.rows, rows)
        encode = self._encoder.text().encode_texts
        found = embed_again(self._encoder, encode, texts.unique, texts.source)
        return Again(texts.names, found)


@dataclass(frozen=True)
class TextRows:
    """Rows of prompts, and which of their distinct texts each has."""

    index: pa.Table
    unique: list[str]
    source: NDArray[np.int64]
    """Position of each row's text in `unique`; -1 where the row has none."""

    @classmethod
    def read(
        cls, prompts: Artifact, start: int, stop: int, rows: Sequence[int] | None = None
    ) -> TextRows:
        """Return rows `start` to `stop` of prompts, or those of them that `rows` numbers."""
        index = prompts.index(_COLUMNS, start, stop)
        index = index if rows is None else index.take(list(rows))
        texts = index["text"].to_pylist()
        unique = list(dict.fromkeys(text for text in texts if text is not None))
        position = {text: row for row, text in enumerate(unique)}
        source = np.array([position.get(text, -1) for text in texts], np.int64)
        return cls(index, unique, source)

    @property
    def names(self) -> list[str]:
        """What people call the rows."""
        rows = self.index.to_pylist()
        return [f"{row['sample']} {row['prompt']}: {row['text']}" for row in rows]

    def described(self, encoder: TextEncoder) -> pa.Table:
        """Return the rows with the number of tokens of their texts, null where there is none."""
        import pyarrow as pa

        from pipeline.tables import column

        present = self.source >= 0
        tokens = np.zeros(len(present), np.int64)
        tokens[present] = encoder.token_counts(self.unique)[self.source[present]]
        index = self.index
        for field, values in (
            (column("tokens", pa.int32(), "token", "length before truncation"), tokens),
            (
                column("truncated", pa.bool_(), "", "whether the text is longer than what is read"),
                tokens > encoder.context_length,
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
        aligned="prompts",
    )
