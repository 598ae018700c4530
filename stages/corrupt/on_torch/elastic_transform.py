"""Elastic transform, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.borders import reflected
from stages.corrupt.kernels.elastic_transform import TRUNCATE
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import truncated
from stages.corrupt.on_torch.philox import noise_keys, random_words
from stages.corrupt.on_torch.separable import smooth

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image displaced by its smooth random field, bilinear, cut off."""
    import torch

    settings = parameters[0]
    count, height, width, _ = images.shape
    words = random_words(noise_keys(parameters, images), 2 * height * width)
    field = words.to(torch.float32) * 2.0**-31
    smoothing = float(settings["smoothing"])
    sigmas = smoothing * height, smoothing * width
    # Displacements along columns and down rows are the two channels of one image.
    planes = field.view(count, 2, height, width).permute(0, 2, 3, 1)
    smoothed = smooth(planes, sigmas, truncate=TRUNCATE, border=reflected)
    pixels = float(np.float32(float(settings["strength"]) * (float(settings["reach"]) * height)))
    along, down = (smoothed * pixels).unbind(3)
    return _sampled(images, along, down)


def _sampled(images: Tensor, along: Tensor, down: Tensor) -> Tensor:
    """Return the images at the shifted places; they are mirrored at their edges (b a|a b)."""
    import torch

    count, height, width, _ = images.shape
    batch = torch.arange(count, device=images.device).view(-1, 1, 1)
    left, right, part_x = _neighbours(along, width, torch.arange(width, device=images.device))
    rows = torch.arange(height, device=images.device).view(-1, 1)
    top, bottom, part_y = _neighbours(down, height, rows)
    upper_left, upper_right, lower_left, lower_right = (
        images[batch, y, x].to(torch.float32)
        for y, x in ((top, left), (top, right), (bottom, left), (bottom, right))
    )
    upper = upper_left + part_x * (upper_right - upper_left)
    lower = lower_left + part_x * (lower_right - lower_left)
    # Rounding errors must not carry a flat area below its own level, as in the native kernel.
    return truncated(upper + part_y * (lower - upper) + 2.0**-9)


def _neighbours(shift: Tensor, side: int, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels before and after each shifted place, and how far it lies between them."""
    import torch

    whole = shift.floor()
    first = own + whole.to(torch.int64)
    before, after = (
        torch.minimum(at.remainder(2 * side), 2 * side - 1 - at.remainder(2 * side))
        for at in (first, first + 1)
    )
    return before, after, (shift - whole).unsqueeze(3)


KERNEL = BatchedKernel("elastic_transform", render, own=frozenset({"noise_key"}))
