"""Frost, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.frost_pictures import PICTURES, crop, factor_for, resized_shape, sheet
from stages.corrupt.kernels.kernel import ADDED, Image, Parameters, Shape
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return clip(``image`` image + ``frost`` part), brought to whole grey levels, for each image.

    The parts are cut out of the pictures in main memory, as the native kernel has them.
    """
    import torch

    settings = parameters[0]
    shape = images.shape[1], images.shape[2], images.shape[3]
    ice = constant(np.stack([_part(entry, shape) for entry in parameters]), images)
    clean = images.to(torch.float64) * float(settings["image"])
    values = clean + ice.to(torch.float64) * float(settings["frost"])
    ended = values.clamp(max=255.0) + ADDED[settings["rounding"]]
    return ended.to(torch.int32).to(torch.uint8)


def _part(entry: Parameters, shape: Shape) -> Image:
    """Return the part of a photograph that lies over an image of `shape`."""
    height, width, channels = shape
    index, scale = int(entry["picture"]), float(entry["scale"])
    top, left = int(entry["top"]), int(entry["left"])
    factor = factor_for(PICTURES[index], scale, height, width)
    if factor != scale:
        return crop(PICTURES[index], factor, (top, left, height, width), channels)
    rows, columns = resized_shape(PICTURES[index], factor)
    values, starts = sheet(scale, channels)
    picture = values[starts[index] :][: rows * columns * channels].reshape(rows, columns, channels)
    part: Image = picture[top : top + height, left : left + width]
    return part


KERNEL = BatchedKernel("frost", render, own=frozenset({"picture", "top", "left"}))
