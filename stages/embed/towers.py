"""The blocks of a loaded tower: what they return is taken as it passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stages.embed.batches import FixedBatches

if TYPE_CHECKING:
    import torch


class Tower:
    """A half of an encoder, with the modules whose outputs are asked for.

    Parameters
    ----------
    forward
        The whole tower, from a batch of prepared inputs; what it returns is not used.
    blocks : sequence of module
        In the order of computation, each of which returns `(n, tokens, width)` or a feature map
        `(n, width, rows, columns)`, perhaps as the first of several.
    prepare
        From some inputs to what `forward` takes.
    batches : FixedBatches
        How inputs are cut.
    """

    def __init__(
        self,
        forward: Callable[[torch.Tensor], torch.Tensor],
        blocks: Sequence[torch.nn.Module],
        prepare: Callable[[Any], torch.Tensor],
        batches: FixedBatches,
    ) -> None:
        self._forward = forward
        self._blocks = blocks
        self._prepare = prepare
        self._batches = batches

    def features(
        self, given: Sequence[Any], blocks: Sequence[int], shape: tuple[int, int], at_most: int
    ) -> NDArray[np.float32]:
        """Return what blocks make of inputs, unchanged, float32 `(n, blocks, tokens, width)`.

        Parameters
        ----------
        given : sequence
            Images or texts; may be read when they are needed.
        blocks : sequence of int
            Numbers from 0.
        shape : tuple of int
            Tokens and width that each block returns.
        at_most : int
            Rows of the largest batch.

        Raises
        ------
        DataError
            If a block returns another shape.
        """
        batches = FixedBatches(self._batches.device, min(self._batches.size, at_most))
        asked = batches.size
        found = batches.run(
            lambda batch: self._look(batch, blocks),
            lambda part: self._prepare(given[part]),
            len(given),
            (len(blocks), *shape),
        )
        if batches.size < asked:  # no memory for more
            self._batches.size = min(self._batches.size, batches.size)
        return found

    def _look(self, batch: torch.Tensor, blocks: Sequence[int]) -> torch.Tensor:
        """Return the outputs of blocks, `(n, blocks, tokens, width)`.

        The hooks are there for this one batch only: no other thread computes meanwhile.
        """
        import torch  # only once there is a model

        seen: dict[int, torch.Tensor] = {}

        def keeping(block: int) -> Callable[[object, object, object], None]:
            def keep(_module: object, _given: object, output: object) -> None:
                seen[block] = _tokens(output)

            return keep

        hooks = [self._blocks[block].register_forward_hook(keeping(block)) for block in blocks]
        try:
            self._forward(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([seen[block] for block in blocks], dim=1)


@runtime_checkable
class HasBlocks(Protocol):
    """An encoder, or the text half of one, whose blocks can be looked into."""

    @property
    def tower(self) -> Tower:
        """Its blocks."""


def image_blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the blocks of a transformer or the stages of a ResNet; none of other models.

    The names are those of open_clip, timm and torchvision.
    """
    trunk = getattr(model, "trunk", model)
    for found in (getattr(trunk, "transformer", None), trunk):
        for name in ("resblocks", "blocks"):
            if (blocks := getattr(found, name, None)) is not None:
                return list(blocks)
    names = [f"layer{stage}" for stage in (1, 2, 3, 4)]
    return [getattr(trunk, name) for name in names if hasattr(trunk, name)]


def text_blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the blocks of an open_clip model's text tower, CLIP's own or a BERT."""
    transformer: Any = getattr(model, "text", model).transformer
    return list(getattr(transformer, "resblocks", None) or transformer.encoder.layer)


def _tokens(output: object) -> torch.Tensor:
    """Return a block's output as `(n, tokens, width)`, places of a map row by row, in float32."""
    values = cast("torch.Tensor", output[0] if isinstance(output, tuple) else output)
    if values.ndim == 4:
        values = values.flatten(2).transpose(1, 2)
    return values.float()
