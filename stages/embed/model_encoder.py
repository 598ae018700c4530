"""An encoder made of a function from prepared pixels to embeddings and, perhaps, a text half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stages.embed.batches import FixedBatches
from stages.embed.encoder import Embeddings, Images, TextEncoder, checked_images
from stages.embed.preparation import Prepare, prepared
from stages.embed.schema import EncoderManifest
from stages.embed.towers import Tower

if TYPE_CHECKING:
    import torch


class ModelEncoder:
    """A loaded model."""

    def __init__(
        self,
        manifest: EncoderManifest,
        embed: Callable[[torch.Tensor], torch.Tensor],
        prepare: Prepare,
        batches: FixedBatches,
        text: TextEncoder | None = None,
        blocks: Sequence[torch.nn.Module] = (),
    ) -> None:
        self._width = manifest.width
        self._embed = embed
        self._prepare = prepare
        self._batches = batches
        self._text = text
        self.tower = Tower(embed, blocks, self.prepare_images, batches)

    @property
    def width(self) -> int:
        """Number of components of an embedding."""
        return self._width

    @property
    def text(self) -> TextEncoder | None:
        """The text half; none for a vision-only encoder."""
        return self._text

    def prepare_images(self, images: Images) -> torch.Tensor:
        """Return the model's input for `images`, float32 `(n, 3, input size, input size)`."""
        return prepared(images, self._prepare)

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image, float32 `(n, width)`."""
        return self._batches.run(
            self._embed,
            lambda part: self.prepare_images(images[part]),
            len(checked_images(images)),
            self._width,
        )
