"""Running a torch model over many inputs in batches of one fixed shape."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.errors import DataError
from stages.embed.ahead import Ahead
from stages.embed.encoder import Embeddings

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_COMPUTING: Final = threading.Lock()
"""Held by the run that computes: a model uses a whole device, so several take turns."""
_IN_FLIGHT: Final = 2
"""Batches whose outputs a GPU may still owe while the next ones are handed to it."""


@dataclass
class FixedBatches:
    """How inputs are cut: every batch has `size` rows, the last one is padded with zeros.

    Libraries choose their kernels by shape, so one shape keeps a row's embedding the same however
    many rows stand beside it. Where the device has too little memory `size` is halved for good.
    """

    device: torch.device
    """Where the model is."""
    size: int
    """Rows of a batch."""

    def run(
        self,
        forward: Callable[[torch.Tensor], torch.Tensor],
        inputs: Callable[[slice], torch.Tensor],
        count: int,
        row: int | tuple[int, ...],
    ) -> Embeddings:
        """Return `forward` of rows `0..count`, float32 `(count, width)` or `(count, *row)`.

        `row` is the shape of what `forward` returns for one row; a number is that of a vector.

        `inputs` returns the rows of a slice, on the CPU. It is called by one other thread, slice
        by slice in order, a few slices before their rows are needed.

        Raises
        ------
        DataError
            If `forward` returns rows of another shape.
        """
        import torch  # only once there is a model

        shape = (row,) if isinstance(row, int) else row
        embeddings = np.empty((count, *shape), np.float32)
        size = self.size
        parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
        owed: deque[_Owed] = deque()
        # TensorFloat-32 would round products to 10 bits, far beyond float32's tolerance.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        # The first blocks are being made while it is not our turn yet.
        ahead = Ahead(inputs, parts, self.device)
        with ahead as blocks, _COMPUTING, torch.inference_mode(), exact:
            for part, block in blocks:
                outputs = self._outputs(forward, block)
                _require_rows(tuple(outputs.shape[1:]), shape)
                owed.append(_Owed(outputs, embeddings[part]))
                while len(owed) >= _IN_FLIGHT:
                    owed.popleft().settle()
            while owed:
                owed.popleft().settle()
        return embeddings

    def _outputs(
        self, forward: Callable[[torch.Tensor], torch.Tensor], block: torch.Tensor
    ) -> torch.Tensor:
        """Return the float32 outputs of a block of rows, in batches of the present size."""
        import torch  # as above

        done: list[torch.Tensor] = []
        start = 0
        while start < len(block):
            batch = block[start : start + self.size]
            rows = len(batch)
            if rows < self.size:
                padding = batch.new_zeros((self.size - rows, *batch.shape[1:]))
                batch = torch.cat([batch, padding])
            try:
                done.append(forward(batch.to(self.device))[:rows].float())
            except torch.cuda.OutOfMemoryError:
                if self.size == 1:
                    raise
                rows = 0
            if not rows:  # only here has the error let go of what it holds
                self._halve()
            start += rows
        return torch.cat(done)

    def _halve(self) -> None:
        """Go on with batches of half the size."""
        import torch  # as above

        before, self.size = self.size, max(1, self.size // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        _LOG.warning(
            "%s has no memory for batches of %d: going on with %d (next time give --batch-size %d)",
            *(self.device, before, self.size, self.size),
        )


def _require_rows(found: tuple[int, ...], declared: tuple[int, ...]) -> None:
    """Refuse outputs of another shape: one column would else be repeated over all unnoticed."""
    if found != declared:
        components = " x ".join(map(str, declared))
        message = (
            f"the model returns embeddings of shape {found}, not of the {components} components "
            "that its manifest declares"
        )
        raise DataError(message)


class _Owed:
    """Outputs on their way from the device."""

    def __init__(self, outputs: torch.Tensor, place: Embeddings) -> None:
        import torch  # as above

        self._place = place
        self._outputs = outputs
        self._arrived: torch.cuda.Event | None = None
        if outputs.device.type == "cuda":
            # Only pinned memory is written without holding up what is computed next.
            self._outputs = torch.empty(outputs.shape, dtype=outputs.dtype, pin_memory=True)
            self._outputs.copy_(outputs, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(outputs.device))

    def settle(self) -> None:
        """Wait for the outputs and put them into their place."""
        if self._arrived is not None:
            self._arrived.synchronize()
        self._place[:] = self._outputs.numpy()
