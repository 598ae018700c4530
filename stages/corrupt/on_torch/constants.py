"""Numbers and tables of the native kernels on the device of a batch, and exact division by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def constant(array: NDArray[Any], batch: Tensor) -> Tensor:
    """Return a copy of `array` on the device of `batch`, of the same dtype."""
    import torch

    return torch.tensor(array, device=batch.device)


def looked_up(table: NDArray[Any], index: Tensor) -> Tensor:
    """Return the entries of `table`, taken as one long row, at each place of the whole `index`."""
    # This is ten times as fast on the CPU as indexing with brackets.
    entries = constant(table.reshape(-1), index).index_select(0, index.reshape(-1))
    return entries.view(index.shape)


def divided(values: Tensor, number: float) -> Tensor:
    """Return `values` divided by `number`, correctly rounded on every device.

    On CUDA torch multiplies by the inverse of a plain number, but divides by a tensor.
    """
    return values / values.new_full((1,), number)


def truncated(values: Tensor) -> Tensor:
    """Return `values` clipped to [0, 255] and cut off to whole grey levels (uint8)."""
    import torch

    return values.clamp(0.0, 255.0).to(torch.int32).to(torch.uint8)
