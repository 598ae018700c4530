"""What a kernel for torch is, and how a batch goes to its device and back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stages.corrupt.kernels.kernel import Images, Parameters, runs
from stages.device import choose_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Batch: TypeAlias = "Tensor"
"""uint8 tensor of shape (N, H, W, C), C = 1 or 3, on any device; never written to."""

_ONE_AT_A_TIME = threading.Lock()
"""Held by the thread whose batch is on the device: it has memory for one, and all cores or units \
of the device work on each."""


@dataclass(frozen=True, slots=True)
class BatchedKernel:
    """The `apply` of one kernel once more, for a batch of images on a device.

    It does the elementwise operations of the native kernel in the same order, each as one of
    torch's eager operations, which are not fused: the bytes are those of the native kernel on
    every device. So nothing in these kernels may leave the order of a sum to the library (no matrix
    product, no convolution, no sum of floats), use a function that the device approximates (exp,
    sin, pow), divide by a plain number (on CUDA that multiplies by its inverse; see
    `constants.divided`), or join a product and a sum (addcmul, lerp).
    """

    name: str
    """Name of the native kernel."""

    render: Callable[[Batch, Sequence[Parameters]], Batch]
    """Return the corrupted images, given their parameters, which agree in all but `own`."""

    own: frozenset[str] = frozenset()
    """Names of the parameters that each image has for itself."""

    version: int = 1
    """Raised by hand when the bytes of any output change."""

    def on(self, device: str) -> Callable[[Images, Sequence[Parameters], Images], None]:
        """Return a `Kernel.apply` that works on `device`: "auto", "cpu", "cuda" or "cuda:1"."""

        def apply(images: Images, parameters: Sequence[Parameters], corrupted: Images) -> None:
            chosen = choose_device(device)
            # torch warns of memory that must not be written, though it is only read here.
            readable = images if images.flags.writeable else images.copy()
            with _ONE_AT_A_TIME:
                for rows in runs(parameters, self.own):
                    self._fill(readable[rows], parameters[rows], corrupted[rows], chosen)

        return apply

    def _fill(
        self,
        images: Images,
        parameters: Sequence[Parameters],
        corrupted: Images,
        device: torch.device,
    ) -> None:
        """Write the corrupted images, in halves where the device has no memory for all at once."""
        import torch  # only where it renders

        try:
            rendered = self.render(torch.from_numpy(images).to(device), parameters)
            torch.from_numpy(corrupted).copy_(rendered)
            return
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
        half = len(images) // 2
        for rows in (slice(half), slice(half, None)):
            self._fill(images[rows], parameters[rows], corrupted[rows], device)
