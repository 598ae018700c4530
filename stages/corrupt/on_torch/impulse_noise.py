"""Impulse noise, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.impulse_noise import threshold_of
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.philox import noise_keys, random_words

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image with its impulses: of a word the lowest bit says which."""
    import torch

    values = images.flatten(1)
    words = random_words(noise_keys(parameters, images), values.shape[1])
    replaced = (words >> 1 & 0x7FFFFFFF) < threshold_of(float(parameters[0]["amount"]))
    impulses = (words & 1).to(torch.uint8) * 255
    return torch.where(replaced, impulses, values).view(images.shape)


KERNEL = BatchedKernel("impulse_noise", render, own=frozenset({"noise_key"}))
