"""Defocus blur, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.corrupt.kernels.borders import mirrored
from stages.corrupt.kernels.defocus_blur import column_sums
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.on_torch.constants import constant, truncated

if TYPE_CHECKING:
    from torch import Tensor


def render(images: Tensor, parameters: Sequence[Parameters]) -> Tensor:
    """Return each image averaged over the disk, cut off; edges mirror around the edge pixel."""
    import torch

    _, height, width, _ = images.shape
    settings = parameters[0]
    heights, weights, passes = column_sums(
        float(settings["radius"]), float(settings["alias_sigma"])
    )
    reach, margin = int(heights.max()), len(passes) - 2
    tall = images.index_select(1, constant(mirrored(height, reach), images))
    wide = tall.index_select(2, constant(mirrored(width, margin), images))
    # running at y is the sum of the rows before y: whole numbers, so no order matters.
    running = wide.cumsum(1, dtype=torch.int32)
    running = torch.cat([torch.zeros_like(running[:, :1]), running], dim=1)
    sums = {
        h: (running[:, reach + h + 1 :][:, :height] - running[:, reach - h :][:, :height]).to(
            torch.float32
        )
        for h in sorted(set(heights.tolist()))
    }
    # Rounding errors must not carry a flat area below its own level, as in the native kernel.
    total = torch.full(images.shape, 2.0**-9, device=images.device)
    for x in range(len(passes) - 1):
        line = torch.zeros_like(sums[reach])
        for k in range(passes[x], passes[x + 1]):
            line += sums[int(heights[k])] * float(weights[k])
        total += line.narrow(2, margin - x, width) + line.narrow(2, margin + x, width)
    return truncated(total)


KERNEL = BatchedKernel("defocus_blur", render)
