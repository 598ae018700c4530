"""Snow, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.corrupt.kernels.flakes import positions
from stages.corrupt.kernels.kernel import ADDED, LEVELS, Parameters
from stages.corrupt.kernels.motion_blur import path_weights
from stages.corrupt.kernels.snow import field_shape
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant, divided, looked_up
from stages.corrupt.on_torch.paths import paths, sum_of_copies
from stages.corrupt.on_torch.philox import noise_keys, standard_normal

if TYPE_CHECKING:
    from torch import Tensor

_GRAY = tuple(float(np.float32(weight)) for weight in (0.299, 0.587, 0.114))


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image paled, under its flakes and the same turned by 180 degrees."""
    import torch

    _, height, width, _ = images.shape
    settings = parameters[0]
    layer = _enlarged(images, parameters)
    weights = path_weights(2 * int(settings["radius"]) + 1, float(settings["sigma"]))
    along = paths(parameters, weights, (layer.shape[1], layer.shape[2]))
    fallen = sum_of_copies(layer.unsqueeze(3), along, height, width)
    falling = looked_up(LEVELS, (fallen * 255.0).round().to(torch.int32))
    paled = _paled(images, float(settings["kept"])).to(torch.float64)
    snowy = (paled + falling + falling.flip(1, 2)).clamp(0.0, 1.0) * 255.0
    return (snowy + ADDED[settings["rounding"]]).to(torch.int32).to(torch.uint8)


def _enlarged(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image's field (N, H, W) enlarged, cut at the threshold and clipped to 0 … 1."""
    import torch

    settings = parameters[0]
    zoom = float(settings["zoom"])
    height, width = field_shape(images.shape[1], images.shape[2], zoom)
    field = standard_normal(noise_keys(parameters, images), height * width)
    field = field.view(-1, height, width).to(torch.float64)
    field = field * float(settings["spread"]) + float(settings["mean"])
    rows, row_parts = (constant(array, images) for array in positions(height, zoom))
    columns, column_parts = (constant(array, images) for array in positions(width, zoom))
    down = row_parts.view(-1, 1)
    # A position past the last pixel, marked -1, reads 0 and not what is looked up for it.
    upper = field.index_select(1, rows.clamp(min=0)) * (1.0 - down)
    lower = field.index_select(1, (rows + 1).clamp(0, height - 1)) * down
    at, after = columns.clamp(min=0), (columns + 1).clamp(0, width - 1)
    rest = 1.0 - column_parts
    value = upper.index_select(2, at) * rest + upper.index_select(2, after) * column_parts
    value = value + lower.index_select(2, at) * rest
    value = value + lower.index_select(2, after) * column_parts
    flakes = (value >= float(settings["threshold"])) & (columns >= 0) & (rows >= 0).view(-1, 1)
    return torch.where(flakes, value, 0.0).clamp(0.0, 1.0)


def _paled(images: Tensor, kept: float) -> Tensor:
    """Return the images as shares of white (float32), paler: 1.5 gray + 0.5 where this is more."""
    import torch

    share, rest = float(np.float32(kept)), float(np.float32(1.0 - kept))
    values = divided(images.to(torch.float32), 255.0)
    gray = values[..., :1]
    if images.shape[3] == 3:
        red, green, blue = values.unbind(3)
        gray = (red * _GRAY[0] + green * _GRAY[1] + blue * _GRAY[2]).unsqueeze(3)
    return values * share + torch.maximum(values, gray * 1.5 + 0.5) * rest


KERNEL = BatchedKernel("snow", render, own=frozenset({"noise_key", "angle"}))
