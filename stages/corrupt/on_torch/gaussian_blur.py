"""Gaussian blur, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.separable import smooth

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image smoothed with ``sigma``, cut off."""
    import torch

    sigma = float(parameters[0]["sigma"])
    # Rounding errors must not carry a flat area below its own level, as in the native kernel.
    return truncated(smooth(images.to(torch.float32), (sigma, sigma)) + 2.0**-9)


KERNEL = BatchedKernel("gaussian_blur", render)
