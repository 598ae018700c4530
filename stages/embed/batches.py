"""Running a torch model over many inputs in batches of one fixed shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UsageError
from stages.embed.encoder import Embeddings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FixedBatches:
    """How inputs are cut: every batch has `size` rows, the last one is padded with zeros.

    Libraries choose their kernels by shape, so one shape keeps a row's embedding the same however
    many rows stand beside it.
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
        width: int,
    ) -> Embeddings:
        """Return `forward` of rows `0..count`, float32 `(count, width)`.

        `inputs` returns the rows of a slice, on the CPU.
        """
        import torch  # only once there is a model

        embeddings = np.empty((count, width), np.float32)
        # TensorFloat-32 would round products to 10 bits, far beyond float32's tolerance.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            for start in range(0, count, self.size):
                part = slice(start, min(start + self.size, count))
                rows = part.stop - start
                batch = inputs(part)
                if rows < self.size:
                    padding = batch.new_zeros((self.size - rows, *batch.shape[1:]))
                    batch = torch.cat([batch, padding])
                outputs = forward(batch.to(self.device))
                embeddings[part] = outputs[:rows].float().cpu().numpy()
        return embeddings


def choose_device(name: str) -> torch.device:
    """Return the device that `name` asks for: "auto" is the first CUDA device, else the CPU.

    Raises
    ------
    UsageError
        If the name is unknown or this machine has no such device.
    """
    import torch  # as above

    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        message = f"unknown device {name!r}; give auto, cpu, cuda or cuda:<number>"
        raise UsageError(message) from error
    if device.type not in {"cpu", "cuda"}:
        message = f"device {name!r} is not supported; give auto, cpu, cuda or cuda:<number>"
        raise UsageError(message)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        message = f"there is no device {name!r} on this machine; give --device cpu"
        raise UsageError(message)
    return device
