"""Gamma correction, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.gamma import table
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import looked_up

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image with every channel value looked up in the table of ``gamma``."""
    import torch

    return looked_up(table(float(parameters[0]["gamma"])), images.to(torch.int32))


KERNEL = BatchedKernel("gamma", render)
