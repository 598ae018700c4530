"""JPEG compression, for torch: the whole numbers of the native kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.jpeg_compression import CHROMA, LUMA, steps
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant
from stages.corrupt.on_torch.cosine_transform import transformed, transformed_back

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image as a JPEG file of ``quality`` gives it back."""
    import torch

    quality = int(parameters[0]["quality"])
    _, height, width, channels = images.shape
    values = images.to(torch.int32)
    if channels == 1:
        kept = _compressed(values[..., 0], steps(LUMA, quality))
        return kept[:, :height, :width, None].to(torch.uint8)
    red, green, blue = values.unbind(3)
    half = (1 << 15) - 1 + (128 << 16)
    luma = 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16
    to_blue = 32768 * blue - 11059 * red - 21709 * green + half >> 16
    to_red = 32768 * red - 27439 * green - 5329 * blue + half >> 16
    luma = _compressed(luma, steps(LUMA, quality))[:, :height, :width]
    to_blue, to_red = (
        _enlarged(_compressed(_halved(plane), steps(CHROMA, quality)), height, width)
        for plane in (to_blue, to_red)
    )
    colours = [
        luma + (91881 * to_red + 32768 >> 16),
        luma + (32768 - 22554 * to_blue - 46802 * to_red >> 16),
        luma + (116130 * to_blue + 32768 >> 16),
    ]
    return torch.stack(colours, dim=3).clamp(0, 255).to(torch.uint8)


def _filled(plane: Tensor, tall: int, wide: int) -> Tensor:
    """Return (N, H, W) planes whose last row and column go on to multiples of `tall` and `wide`."""
    import torch

    _, height, width = plane.shape
    rows = torch.arange(-(-height // tall) * tall, device=plane.device)
    columns = torch.arange(-(-width // wide) * wide, device=plane.device)
    lengthened = plane.index_select(1, rows.clamp(max=height - 1))
    return lengthened.index_select(2, columns.clamp(max=width - 1))


def _halved(plane: Tensor) -> Tensor:
    """Return the mean of each square of four; libjpeg alternates the rounding along a row."""
    import torch

    even = _filled(plane, 2, 16)  # halved, its rows are whole blocks
    sums = even[:, ::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, ::2] + even[:, 1::2, 1::2]
    bias = 1 + (torch.arange(sums.shape[2], device=plane.device, dtype=torch.int32) & 1)
    return sums + bias >> 2


def _compressed(plane: Tensor, quantiser: NDArray[np.int32]) -> Tensor:
    """Return what the quantiser keeps of the 8 x 8 blocks of (N, H, W) planes, filled up."""
    import torch

    filled = _filled(plane, 8, 8)
    count, height, width = filled.shape
    blocks = filled.view(count, height // 8, 8, width // 8, 8).transpose(2, 3) - 128
    step = constant(quantiser.reshape(8, 8), plane)
    found = transformed(blocks)
    size = torch.div(found.abs() + 4 * step, 8 * step, rounding_mode="floor")
    restored = transformed_back(torch.where(found >= 0, size, -size) * step)
    kept = (restored + 128).clamp(0, 255)
    return kept.transpose(2, 3).reshape(count, height, width)


def _enlarged(plane: Tensor, height: int, width: int) -> Tensor:
    """Return colour differences at twice the size, interpolated as libjpeg's "fancy" upsampling.

    The nearest and the next sample have weights 3 and 1 in both directions.
    """
    import torch

    rows, across = (height + 1) // 2, (width + 1) // 2
    y = torch.arange(height, device=plane.device)
    near, far = y // 2, (y // 2 + 2 * (y & 1) - 1).clamp(0, rows - 1)
    plane = plane[:, :rows, :across]
    sums = 3 * plane.index_select(1, near) + plane.index_select(1, far)
    before = torch.cat([sums[:, :, :1], sums[:, :, :-1]], dim=2)
    after = torch.cat([sums[:, :, 1:], sums[:, :, -1:]], dim=2)
    pairs = [3 * sums + before - 2040 >> 4, 3 * sums + after - 2041 >> 4]
    return torch.stack(pairs, dim=3).flatten(2)[:, :, :width]


KERNEL = BatchedKernel("jpeg_compression", render)
