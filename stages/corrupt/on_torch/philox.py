"""The random words and normal numbers of `kernels.noise`, for the images of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.kernels.noise import normal_quantiles
from stages.corrupt.on_torch.constants import looked_up

if TYPE_CHECKING:
    from torch import Tensor

_LOW_HALF = 0xFFFFFFFF
_FIRST_BITS = 0x3F000000 >> 16
"""Top 16 bits of float32(0.5), where the quantile table begins."""


def noise_keys(parameters: Sequence[Parameters], batch: Tensor) -> Tensor:
    """Return the ``noise_key`` of each image: (N,) int64 on the device of `batch`."""
    import torch

    keys = [int(entry["noise_key"]) for entry in parameters]
    return torch.tensor(keys, dtype=torch.int64, device=batch.device)


def random_words(keys: Tensor, count: int) -> Tensor:
    """Return `count` random words of each key: the bits of `kernels.noise.random_words`.

    Parameters
    ----------
    keys : (N,) int64
        At least 0.

    Returns
    -------
    words : (N, count) int32
        Words from 2**31 on are negative.
    """
    import torch

    chunks = -(-count // 1024)
    # Unsigned numbers of 32 bits lie in int64, whose products keep the lowest 64 bits.
    c0 = torch.arange(chunks * 256, device=keys.device).view(1, chunks, 256)
    c1 = c2 = c3 = torch.zeros_like(c0)
    k0, k1 = (keys & _LOW_HALF).view(-1, 1, 1), (keys >> 32).view(-1, 1, 1)
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c2 = (p1 >> 32 & _LOW_HALF) ^ c1 ^ k0, (p0 >> 32 & _LOW_HALF) ^ c3 ^ k1
        c1, c3 = p1 & _LOW_HALF, p0 & _LOW_HALF
        k0, k1 = (k0 + 0x9E3779B9) & _LOW_HALF, (k1 + 0xBB67AE85) & _LOW_HALF
    # The four outputs of 256 blocks follow one another in a chunk.
    runs = [run.expand_as(c0).to(torch.int32) for run in (c0, c1, c2, c3)]
    return torch.stack(runs, dim=2).view(len(keys), -1)[:, :count]


def standard_normal(keys: Tensor, count: int) -> Tensor:
    """Return `count` standard normal numbers of each key: those of `kernels.noise`.

    Returns
    -------
    numbers : (N, count) float32
    """
    import torch

    words = random_words(keys, count)
    tails = (words & 0x7FFFFFFF).to(torch.float32) + 0.5
    bits = tails.view(torch.int32)
    index = (bits >> 16) - _FIRST_BITS
    lows, highs = (looked_up(normal_quantiles(), at) for at in (index, index + 1))
    part = (bits & 0xFFFF).to(torch.float32) * 2.0**-16
    magnitude = lows + part * (highs - lows)
    return torch.where(words < 0, -magnitude, magnitude)
