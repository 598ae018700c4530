"""Patch features of images and token features of prompts: what chosen blocks of an encoder return.

A decoder on a frozen encoder, as segmentation models have one, reads these instead of the
embedding. They are the raw outputs of blocks, before any final layer norm and projection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.errors import DataError
from pipeline.recipe import Recipe
from pipeline.recompute import Again
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed.gated import Inputs, Items, embed_again, embed_rows
from stages.embed.loaded import LoadedOnce, Precision, encoder_attributes, encoder_parameters
from stages.embed.outline import Outline, Shape, image_outline, text_outline
from stages.embed.prompt_rows import TextRows
from stages.embed.stored import positions, present_rows, sample_rows, stored_images, within
from stages.embed.towers import HasBlocks

PATCH_FEATURES = "patch-features"
TOKEN_FEATURES = "token-features"  # noqa: S105 - tokens of texts
PATCHES, TOKENS = "patches", "tokens"
"""Names of the arrays."""
VERSION = 1
TOLERANCE: Final[Mapping[str, float]] = {"float32": 1e-2, "float16": 1.0}
"""Largest difference between two builds of a component, by dtype.

States between the blocks of transformers are not normalised: a few components reach some hundreds,
where float16 has steps of a quarter and float32 products of a long row round by 1e-3.
"""
MIXED_TOLERANCE: Final[Mapping[Precision, float]] = {"float32": 0.0, "bf16": 10.0, "fp16": 2.0}
"""Likewise by precision; the larger of the two counts."""
_WHOLE: Final = 8
"""Rows of a shard are a multiple of it where they can be: what a batch has on a processor."""
_MEANING: Final = (
    "output of the block as it is, before any final layer norm and projection: "
    "hidden_states[block + 1] of transformers, layer `block` of CLIPSeg's extract_layers"
)


@dataclass(frozen=True)
class Features:
    """Which features of which tower are stored, and how."""

    encoder: LoadedOnce
    blocks: tuple[int, ...]
    """Numbers from 0, ascending."""
    outline: Outline
    array: str

    @property
    def shape(self) -> Shape:
        """What each of the blocks returns for one input."""
        return self.outline.shapes[self.blocks[0]]

    @property
    def items(self) -> Items:
        """What is stored of each row, in the type of the encoder's embeddings."""
        dtype = self.encoder.manifest.dtype
        shape = (len(self.blocks), self.shape.tokens, self.shape.width)
        tolerance = max(TOLERANCE[dtype], MIXED_TOLERANCE[self.encoder.precision])
        return Items(self.array, dtype, shape, tolerance)

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored row."""
        return math.prod(self.items.shape) * np.dtype(self.items.dtype).itemsize

    def slots(self, rows: int) -> int:
        """Return how many rows go into one shard."""
        most = rows_per_shard(self.row_bytes, rows)
        return most - most % _WHOLE if _WHOLE <= most < rows else most

    def encode(self, half: object, at_most: int) -> Callable[[Any], NDArray[np.float32]]:
        """Return the function from inputs to their features in batches of `at_most` or fewer."""
        if not isinstance(half, HasBlocks):
            message = f"{self.encoder.manifest.id} has no blocks to look into"
            raise DataError(message)
        tower, shape = half.tower, (self.shape.tokens, self.shape.width)
        return lambda given: tower.features(given, self.blocks, shape, at_most)

    def parameters(self, identity: Mapping[str, Json]) -> dict[str, Json]:
        """Return all that determines them."""
        own = encoder_parameters(self.encoder, identity)
        del own["width"]  # of an embedding, which this is not
        return {**own, "blocks": list(self.blocks)}

    def attributes(self) -> dict[str, Any]:
        """Return what artifacts say of their arrays."""
        shape, kind = self.shape, self.outline.kind
        said: dict[str, Any] = {
            **encoder_attributes(self.encoder.manifest),
            "array": self.array,
            "axes": ["row", kind, "token", "component"],
            "blocks": list(self.blocks),
            "blocks_of_tower": len(self.outline.shapes),
            "block_kind": kind,
            "numbering": f"{kind}s are counted from 0",
            "meaning": _MEANING if kind == "block" else "output of the stage, before downsampling",
            "final_layer_norm": False,
        }
        if shape.grid is not None:
            said["grid"] = list(shape.grid)
            said["prefix_tokens"] = list(shape.prefix)
            said["class_token_first"] = shape.prefix[:1] == ("class",)
            said["patch_order"] = (
                f"after {len(shape.prefix)} prefix tokens the patches row by row, left to right"
            )
        return said


class EmbedPatches:
    """Stores what blocks of the image tower return for the rows of a unit."""

    def __init__(self, features: Features) -> None:
        self._features = features

    @property
    def parallel(self) -> bool | int:
        """How many units may run at once."""
        return self._features.encoder.at_once

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the features of each image, in index order; a row without an image is NaN."""
        encoder, images = self._features.encoder, inputs["images"]
        index = sample_rows(images, unit.start, unit.stop)
        present = present_rows(index)
        rows = within(unit.start, present)
        batch = min(encoder.batch_rows, unit.node.slots)
        given = Inputs(
            self._features.encode(encoder.get(), batch),
            lambda chosen: stored_images(images, [rows[one] for one in chosen]),
            positions(present),
            index["id"].to_pylist(),
            batch,
            unit.node.slots,
        )
        embed_rows(encoder, unit, writer, given, self._features.items)
        writer.table(index)

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return rows of the features of `node`, computed once more."""
        encoder, images = self._features.encoder, inputs["images"]
        index = sample_rows(images, 0, node.rows).take(list(rows))
        source = positions(present_rows(index))
        chosen = [row for row, at in zip(rows, source, strict=True) if at >= 0]
        encode = self._features.encode(encoder.get(), min(encoder.batch_rows, node.slots))
        given, items = stored_images(images, chosen), self._features.items
        found = embed_again(encoder, encode, given, source, items)
        return Again(index["id"].to_pylist(), found)


class EmbedTokens:
    """Stores what blocks of the text tower return for the rows of a unit of prompts."""

    parallel = False

    def __init__(self, features: Features) -> None:
        self._features = features

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the features of each text, in order; texts that are equal are encoded once.

        Rows of targets that failed have no text: they are NaN. Tokens past the text's own are what
        the tower makes of padding; the column ``tokens`` says how many are the text's.
        """
        encoder = self._features.encoder
        texts = TextRows.read(inputs["prompts"], unit.start, unit.stop)
        text = encoder.text()
        batch = min(encoder.batch_texts, unit.node.slots)
        given = Inputs(
            self._features.encode(text, batch),
            lambda chosen: [texts.unique[one] for one in chosen],
            texts.source,
            texts.names,
            batch,
            unit.node.slots,
        )
        embed_rows(encoder, unit, writer, given, self._features.items)
        writer.table(texts.described(text))
        writer.attributes["context_length"] = text.context_length

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return rows of the features of `node`, computed once more."""
        encoder = self._features.encoder
        texts = TextRows.read(inputs["prompts"], 0, node.rows, rows)
        encode = self._features.encode(encoder.text(), min(encoder.batch_texts, node.slots))
        items = self._features.items
        found = embed_again(encoder, encode, texts.unique, texts.source, items)
        return Again(texts.names, found)


def patch_node(
    encoder: LoadedOnce,
    identity: Mapping[str, Json],
    images: Node,
    blocks: Sequence[int] = (-1,),
) -> Node:
    """Return the patch features of an image artifact, named ``<encoder>/<name of the images>``.

    Parameters
    ----------
    encoder : LoadedOnce
    identity : mapping
        What the loader of its family returned.
    images : Node
        Of images of one size or of mixed sizes.
    blocks : sequence of int
        Numbers from 0; negative ones count from the end.

    Raises
    ------
    UsageError
        If the encoder has no such blocks.
    """
    outline = image_outline(encoder.manifest, identity)
    chosen = outline.chosen(blocks, encoder.manifest.id, "image")
    features = Features(encoder, chosen, outline, PATCHES)
    return _node(PATCH_FEATURES, EmbedPatches(features), features, identity, {"images": images})


def token_node(
    encoder: LoadedOnce,
    identity: Mapping[str, Json],
    prompts: Node,
    blocks: Sequence[int] = (-1,),
) -> Node:
    """Return the token features of sealed prompts, ``<encoder>/<rules>/<dataset>/<split>``.

    Parameters are those of `patch_node`.

    Raises
    ------
    UsageError
        If the encoder reads no text or has no such blocks.
    """
    outline = text_outline(encoder.manifest, identity)
    chosen = outline.chosen(blocks, encoder.manifest.id, "text")
    features = Features(encoder, chosen, outline, TOKENS)
    return _node(TOKEN_FEATURES, EmbedTokens(features), features, identity, {"prompts": prompts})


def _node(
    kind: str,
    stage: EmbedPatches | EmbedTokens,
    features: Features,
    identity: Mapping[str, Json],
    source: Mapping[str, Node],
) -> Node:
    """Return the features of the one artifact in `source`, row by row."""
    ((aligned, node),) = source.items()
    name = f"{features.encoder.manifest.id}/{node.recipe.name}"
    inputs = {aligned: node.recipe}
    return Node(
        Recipe(kind, name, VERSION, features.parameters(identity), inputs),
        stage,
        rows=node.rows,
        row_bytes=features.row_bytes,
        slots=features.slots(node.rows),
        inputs=source,
        attributes=features.attributes(),
        tolerance=features.items.tolerance,
        aligned=aligned,
    )
