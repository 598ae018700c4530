"""What becomes of the masks of corrupted images: most corruptions leave content where it is."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.kernel import Kernel, Parameters
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.schema import CorruptionDeclaration

Masks: TypeAlias = NDArray[np.uint8]
"""(H, W, T) of 0 or 255, one layer per target."""

Fate: TypeAlias = Literal["as in the clean split", "moved along"]
"""Where the masks of a set are: it has its own only where they moved."""

FOREGROUND = 128
"""A moved pixel of at least this level is foreground: one that is at least half covered."""


def fate_of(corruption: CorruptionDeclaration) -> Fate:
    """Return what a corruption does to the masks of its images."""
    moves = KERNELS[corruption.kernel].moves_masks
    return "moved along" if moves else "as in the clean split"


def moved(masks: Masks, kernel: Kernel[Any], parameters: Parameters) -> Masks:
    """Return the masks of an image that `kernel` rendered under `parameters`.

    Each layer is rendered under the same parameters, and is foreground where the result is at
    least `FOREGROUND`. Instance ids have no such mean and are not moved.

    Parameters
    ----------
    masks : (H, W, T) uint8
        0 or 255; never written to.

    Returns
    -------
    masks : (H, W, T) uint8
        0 or 255; a new array.
    """
    layers = np.empty_like(masks)
    last = masks.shape[2] - 1
    for first in range(0, masks.shape[2], 3):
        # Up to three as the channels of one image, since each call draws its displacements anew.
        chosen = [min(first + n, last) for n in range(3)]
        rendered = kernel.apply_one(np.ascontiguousarray(masks[:, :, chosen]), parameters)
        layers[:, :, chosen] = np.where(rendered >= FOREGROUND, 255, 0)
    return layers
