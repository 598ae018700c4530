"""What ``pipeline embed --features`` asks for: embeddings, features of blocks, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.study import Study
    from pipeline.unit import Node

KINDS: Final = ("global", "patch", "both")

FeaturesOption = Annotated[
    str,
    typer.Option(
        "--features",
        help=(
            "global: one embedding per image or prompt; patch: what chosen blocks make of every "
            "patch, with --prompts of every token; both."
        ),
    ),
]
BlocksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--blocks",
        help=(
            "With --features patch or both: blocks counted from 0, comma-separated or repeated, "
            "negative from the end, such as 3,6,9. [default: -1, the last]"
        ),
    ),
]


@dataclass(frozen=True)
class Asked:
    """Which features are wanted."""

    embeddings: bool
    """One embedding per image or prompt."""
    blocks: tuple[int, ...] = ()
    """Of which blocks features are wanted, as they were given; none for no features."""

    def nodes(
        self, study: Study, encoder: str, images: Sequence[Node], prompts: Sequence[Manifest]
    ) -> list[Node]:
        """Return the features of blocks of images and sealed prompts.

        Raises
        ------
        UsageError
            If the encoder has no such blocks.
        """
        if not self.blocks:
            return []
        from pipeline.plan import sealed_node
        from stages.embed.features import patch_node, token_node

        loaded = study.loaded(encoder)
        found = [patch_node(*loaded, node, self.blocks) for node in images]
        return found + [
            token_node(*loaded, sealed_node(manifest), self.blocks) for manifest in prompts
        ]


def asked_features(kind: str, blocks: Sequence[str]) -> Asked:
    """Return what the options ask for.

    Raises
    ------
    UsageError
        If a value is unknown, no number, or without a use.
    """
    from pipeline.manifest import require_known

    require_known("kind of features", kind, KINDS)
    if kind == "global":
        if blocks:
            message = "--blocks is for features of blocks: add --features patch or both"
            raise UsageError(message)
        return Asked(embeddings=True)
    try:
        numbers = tuple(int(block) for block in blocks) or (-1,)
    except ValueError as error:
        message = f"--blocks {','.join(blocks)}: give numbers from 0, or negative from the end"
        raise UsageError(message) from error
    return Asked(kind == "both", numbers)
