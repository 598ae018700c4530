"""Glass blur, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.borders import nearest
from stages.corrupt.kernels.gaussian_filter import half_weights
from stages.corrupt.kernels.kernel import LEVELS, Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import looked_up
from stages.corrupt.on_torch.philox import noise_keys, random_words
from stages.corrupt.on_torch.separable import weighted

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image with its pixels moved between two blurs."""
    settings = parameters[0]
    count, height, width, _ = images.shape
    reach, iterations = int(settings["max_delta"]), int(settings["iterations"])
    visits = iterations, height - 2 * reach, width - 2 * reach
    words = random_words(noise_keys(parameters, images), visits[0] * visits[1] * visits[2])
    words = words.view(count, *visits)
    sigma = float(settings["sigma"])
    moved = _blurred(images, sigma)
    for n in range(iterations):
        moved = _moved(moved, words[:, n], reach)
    return _blurred(moved, sigma)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Return the images blurred in float64 in the order of `scipy.ndimage`, cut off."""
    import torch

    weights = half_weights(sigma)
    planes = looked_up(LEVELS, images.to(torch.int32))
    for axis in (1, 2):
        planes = weighted(planes, axis, weights, nearest, inwards=True)
    return (planes.clamp(0.0, 1.0) * 255.0).to(torch.int32).to(torch.uint8)


def _moved(images: Tensor, words: Tensor, reach: int) -> Tensor:
    """Return the images after each pixel, visited from the last to the first, copies another.

    A pixel that copies one visited before it takes what that one has copied, and so on. All these
    chains are followed at once: each step leads every pixel as far again as all steps before.

    Parameters
    ----------
    images : (N, H, W, C) uint8
    words : (N, H - 2 reach, W - 2 reach) int32
        The random word of each visit, in their order.
    """
    import torch

    count, height, width, channels = images.shape
    size = height * width
    own = torch.arange(size, device=images.device)
    y = height - reach - torch.arange(words.shape[1], device=images.device).view(-1, 1)
    x = width - reach - torch.arange(words.shape[2], device=images.device)
    span = 2 * reach
    across = ((words & 0xFFFF) * span >> 16) - reach
    down = ((words >> 16 & 0xFFFF) * span >> 16) - reach
    visited = (y * width + x).view(-1)
    copied = ((y + down) * width + (x + across)).view(count, -1)
    inside = torch.zeros(size, dtype=torch.bool, device=images.device)
    inside[visited] = True
    # Places below `size` are pixels after the visits, those from there on pixels before them.
    before = inside[copied] & (copied > visited)
    leads = (own + size).repeat(count, 1)
    leads[:, visited] = torch.where(before, copied, copied + size)
    while bool((leads < size).any()):
        further = leads.gather(1, leads.clamp(max=size - 1))
        leads = torch.where(leads < size, further, leads)
    source = (leads - size).unsqueeze(2).expand(-1, -1, channels)
    return images.view(count, size, channels).gather(1, source).view(images.shape)


KERNEL = BatchedKernel("glass_blur", render, own=frozenset({"noise_key"}))
