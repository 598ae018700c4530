"""Gaussian blur by the size of its square, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.gaussian_filter import half_weights
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.separable import mirrored, weighted

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image smoothed over squares of ``size``, rounded to whole grey levels."""
    import torch

    size = int(parameters[0]["size"])
    sigma = 0.15 * size + 0.35
    weights = half_weights(sigma, (size // 2) / sigma).astype(np.float32)
    smoothed = weighted(images.to(torch.float32), 1, weights, mirrored)
    return truncated(weighted(smoothed, 2, weights, mirrored) + 0.5)


KERNEL = BatchedKernel("gaussian_blur_by_size", render)
