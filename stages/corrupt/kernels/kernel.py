"""What a corruption kernel is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.manifest import Declared
from pipeline.stream import Stream

Image: TypeAlias = NDArray[np.uint8]
"""C-contiguous uint8 array of shape (H, W, C), C = 1 or 3."""

Shape: TypeAlias = tuple[int, int, int]
"""(H, W, C) of an image."""

Parameters: TypeAlias = Mapping[str, int | float]
"""Everything `apply` needs besides the image: plain numbers, stored as Parquet columns."""

S = TypeVar("S", bound=Declared)

SMALLEST_SIDE = 28
"""Smallest image side in pixels for which the kernels are tested (the smallest MedMNIST)."""


@dataclass(frozen=True, slots=True)
class Kernel(Generic[S]):
    """One corruption as two pure parts: `draw` (all the randomness) and `apply` (all the pixels).

    ``apply(image, draw(stream, severity, image.shape))`` is the corrupted image.
    """

    name: str
    """Name in the kernel table and in suite manifests."""

    severity: type[S]
    """The parameters of one severity, with their ranges."""

    draw: Callable[[Stream, S, Shape], dict[str, int | float]]
    """Return the numbers of one image; a noise field is one integer key of at most 63 bits."""

    apply: Callable[[Image, Parameters], Image]
    """Return a new image of the same shape; the input is never written."""

    smallest_side: int = SMALLEST_SIDE
    """Smallest height and width in pixels."""

    version: int = 1
    """Raised by hand when the bytes of any output change."""
