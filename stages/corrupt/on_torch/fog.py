"""Fog, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.fog import heights, map_side
from stages.corrupt.kernels.kernel import ADDED, Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.philox import noise_keys, random_words

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return (image + 255 amount cloud) m / (m + 255 amount) for each image.

    m is its largest value, and the cloud has values in 0 to 1.
    """
    import torch

    _, height, width, _ = images.shape
    settings = parameters[0]
    side = map_side(images.shape)
    words = random_words(noise_keys(parameters, images), side * side)
    cloud = _cloud(words, heights(side, [float(settings["decay"])])[0].tolist())
    low, high = cloud.amin(dim=(1, 2)), cloud.amax(dim=(1, 2))
    thickest = 255.0 * float(settings["amount"])
    range_ = high.to(torch.float64) - low.to(torch.float64)
    slope = (torch.full_like(range_, thickest) / range_).to(torch.float32)
    largest = images.amax(dim=(1, 2, 3)).to(torch.float64)
    kept = (largest / (largest + thickest)).to(torch.float32)
    thickness = (cloud[:, :height, :width] - low.view(-1, 1, 1)) * slope.view(-1, 1, 1)
    foggy = (images.to(torch.float32) + thickness.unsqueeze(3)) * kept.view(-1, 1, 1, 1)
    return truncated(foggy + ADDED[settings["rounding"]])


def _cloud(words: Tensor, steps: list[float]) -> Tensor:
    """Return the maps (N, S, S) that words (N, S * S) refine, one level after another.

    A point between others is their mean and a random height; a map joins its opposite edges.
    """
    import torch

    count = len(words)
    cloud = torch.zeros((count, 1, 1), dtype=torch.float32, device=words.device)
    for level, step in enumerate(steps):
        side = 1 << level
        area = side * side
        own = words[:, area - 1 : 4 * area - 1].to(torch.float32) * step
        for_centre, for_across, for_down = own.view(count, 3, side, side).unbind(1)
        column = cloud + cloud.roll(-1, 1)
        centre = (column + column.roll(-1, 2)) * 0.25 + for_centre
        across = ((centre + centre.roll(1, 1)) + (cloud + cloud.roll(-1, 2))) * 0.25 + for_across
        down = ((centre + centre.roll(1, 2)) + column) * 0.25 + for_down
        even, odd = torch.stack([cloud, across], dim=3), torch.stack([down, centre], dim=3)
        cloud = torch.stack([even, odd], dim=2).view(count, 2 * side, 2 * side)
    return cloud


KERNEL = BatchedKernel("fog", render, own=frozenset({"noise_key"}))
