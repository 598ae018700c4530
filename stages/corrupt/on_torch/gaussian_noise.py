"""Gaussian noise, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import ADDED, Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.philox import noise_keys, standard_normal

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return clip(image + 255 sigma field), brought to whole grey levels, for each image."""
    import torch

    values = images.flatten(1).to(torch.float32)
    scale = float(np.float32(255.0 * float(parameters[0]["sigma"])))
    field = standard_normal(noise_keys(parameters, images), values.shape[1])
    noisy = (values + field * scale).clamp(0.0, 255.0) + ADDED[parameters[0]["rounding"]]
    return truncated(noisy).view(images.shape)


KERNEL = BatchedKernel("gaussian_noise", render, own=frozenset({"noise_key"}))
