"""Gaussian blur by the size of its square, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.borders import mirrored
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.separable import smooth

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image smoothed over squares of ``size``, rounded to whole grey levels."""
    import torch

    size = int(parameters[0]["size"])
    sigma = 0.15 * size + 0.35
    values, truncate = images.to(torch.float32), (size // 2) / sigma
    smoothed = smooth(values, (sigma, sigma), truncate=truncate, border=mirrored)
    return truncated(smoothed + 0.5)


KERNEL = BatchedKernel("gaussian_blur_by_size", render)
