"""Speckle noise, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.philox import noise_keys, standard_normal

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return clip(image + image sigma field), cut off, for each image."""
    import torch

    values = images.flatten(1).to(torch.float32)
    field = standard_normal(noise_keys(parameters, images), values.shape[1])
    sigma = float(np.float32(parameters[0]["sigma"]))
    return truncated(values + values * (field * sigma)).view(images.shape)


KERNEL = BatchedKernel("speckle_noise", render, own=frozenset({"noise_key"}))
