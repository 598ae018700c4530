"""Saturate, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.kernel import LEVELS, Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import divided, looked_up

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image with the saturation changed, hue and value kept, cut off.

    The operations are those of the native kernel, which are those of `skimage.color`.
    """
    import torch

    if images.shape[3] == 1:
        return images
    factor, amount = float(parameters[0]["factor"]), float(parameters[0]["amount"])
    red, green, blue = looked_up(LEVELS, images.to(torch.int32)).unbind(3)
    value = torch.maximum(torch.maximum(red, green), blue)
    delta = value - torch.minimum(torch.minimum(red, green), blue)
    gray = delta == 0.0
    saturation = (torch.where(gray, 0.0, delta / value) * factor + amount).clamp(0.0, 1.0)
    sixth = divided(_hue(red, green, blue, value, delta), 6.0)
    hue = torch.where(gray, 0.0, sixth)
    turn = torch.where(hue < 0.0, hue + 1.0, hue) * 6.0
    sector = turn.to(torch.int32)
    part = turn - sector
    low = value * (1.0 - saturation)
    falling = value * (1.0 - part * saturation)
    rising = value * (1.0 - (1.0 - part) * saturation)
    # What red, green and blue are in each of the six sectors, from red over green to blue.
    shown = torch.stack([value, falling, low, low, rising, value])
    at = sector.to(torch.int64).unsqueeze(0)
    # Green begins with what red has in sector 4, and blue with what red has in sector 2.
    channels = [shown.gather(0, (at + shift) % 6)[0] for shift in (0, 4, 2)]
    return (torch.stack(channels, dim=3) * 255.0).to(torch.int32).to(torch.uint8)


def _hue(red: Tensor, green: Tensor, blue: Tensor, value: Tensor, delta: Tensor) -> Tensor:
    """Return the hue in sixths of a turn; of equal largest channels the last one decides."""
    import torch

    by_green = torch.where(green == value, 2.0 + (blue - red) / delta, (green - blue) / delta)
    return torch.where(blue == value, 4.0 + (red - green) / delta, by_green)


KERNEL = BatchedKernel("saturate", render)
