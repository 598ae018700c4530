"""Shot noise, for torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.kernels.shot_noise import apply_counts, thresholds
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant, looked_up
from stages.corrupt.on_torch.philox import noise_keys, random_words

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image as its photons show it.

    The thresholds of all grey levels form one rising list, since each level's are lifted by
    2**32 levels: a single search finds every count.
    """
    import torch

    photons = float(parameters[0]["photons"])
    counts = math.ceil(photons) + 1
    levels = images.flatten(1).to(torch.int64)
    words = random_words(noise_keys(parameters, images), levels.shape[1])
    numbers = (words >> 1 & 0x7FFFFFFF) + (levels << 32)
    lifted = thresholds(photons).astype(np.int64) + (np.arange(256)[:, np.newaxis] << 32)
    ends = constant(lifted.reshape(-1), images)
    found = torch.searchsorted(ends, numbers, right=True) - levels * counts
    shown = apply_counts(np.arange(counts).reshape(1, -1, 1), photons)
    return looked_up(shown, found).view(images.shape)


KERNEL = BatchedKernel("shot_noise", render, own=frozenset({"noise_key"}))
