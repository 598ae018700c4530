"""What a corruption kernel is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.manifest import Declared
from pipeline.stream import Stream

Image: TypeAlias = NDArray[np.uint8]
"""C-contiguous uint8 array of shape (H, W, C), C = 1 or 3."""

Images: TypeAlias = NDArray[np.uint8]
"""C-contiguous uint8 array of shape (N, H, W, C), C = 1 or 3."""

Shape: TypeAlias = tuple[int, int, int]
"""(H, W, C) of an image."""

Parameters: TypeAlias = Mapping[str, int | float | str]
"""Everything `apply` needs besides the image: numbers and words, stored as Parquet columns."""

Rounding: TypeAlias = Literal["down", "nearest"]
"""How a result becomes a whole grey level: cut off, as the published scripts do, or rounded."""

ADDED: Mapping[str | int | float, float] = MappingProxyType({"down": 0.0, "nearest": 0.5})
"""What is added before the fraction is cut off, by `Rounding`."""

LEVELS: NDArray[np.float64] = np.arange(256, dtype=np.float64) / 255.0
"""The grey levels as shares of white; read-only."""
LEVELS.setflags(write=False)

S = TypeVar("S", bound=Declared)

SMALLEST_SIDE = 28
"""Smallest image side in pixels for which the kernels are tested (the smallest MedMNIST)."""


@dataclass(frozen=True, slots=True)
class Kernel(Generic[S]):
    """One corruption as two pure parts: `draw` (all the randomness) and `apply` (all the pixels).

    ``apply_one(image, draw(stream, severity, image.shape))`` is the corrupted image.
    """

    name: str
    """Name in the kernel table and in suite manifests."""

    severity: type[S]
    """The parameters of one severity, with their ranges."""

    draw: Callable[[Stream, S, Shape], dict[str, int | float | str]]
    """Return the numbers of one image; a noise field is one integer key of at most 63 bits."""

    apply: Callable[[Images, Sequence[Parameters], Images], None]
    """Write each of N images, under its own parameters, to its place in the last argument.

    Several images at a time, so that threads seldom wait for the interpreter. No image depends on
    its neighbours, and the input is never written.
    """

    smallest_side: int = SMALLEST_SIDE
    """Smallest height and width in pixels."""

    moves_masks: bool = False
    """Whether the mask of an image moves along: true of a kernel that puts content elsewhere.

    The displacement must not depend on the channels, as the mask's layers are displaced alone.
    """

    version: int = 1
    """Raised by hand when the bytes of any output change."""

    bytes_at_once: int = 1 << 21
    """Of pixels in one call: keeps the interpreter out and fits a core's cache."""

    def apply_one(self, image: Image, parameters: Parameters) -> Image:
        """Return `image` under `parameters`, as a new array."""
        corrupted = np.empty_like(image)
        self.apply(image[np.newaxis], [parameters], corrupted[np.newaxis])
        return corrupted


def one_by_one(
    apply: Callable[[Image, Parameters], Image],
) -> Callable[[Images, Sequence[Parameters], Images], None]:
    """Return the `Kernel.apply` of a function that returns one corrupted image."""

    def apply_each(images: Images, parameters: Sequence[Parameters], corrupted: Images) -> None:
        for row, (image, numbers) in enumerate(zip(images, parameters, strict=True)):
            corrupted[row] = apply(image, numbers)

    return apply_each


def in_runs(
    apply: Callable[[Images, Parameters, Images], None],
) -> Callable[[Images, Sequence[Parameters], Images], None]:
    """Return the `Kernel.apply` of a function for several images under the same parameters."""

    def apply_runs(images: Images, parameters: Sequence[Parameters], corrupted: Images) -> None:
        for rows in runs(parameters):
            apply(images[rows], parameters[rows.start], corrupted[rows])

    return apply_runs


def runs(parameters: Sequence[Parameters], own: frozenset[str] = frozenset()) -> Iterator[slice]:
    """Yield the stretches of images whose parameters agree in all but those named in `own`."""
    shared = [
        {name: value for name, value in entry.items() if name not in own} if own else entry
        for entry in parameters
    ]
    start = 0
    for stop in range(1, len(shared) + 1):
        if stop == len(shared) or shared[stop] != shared[start]:
            yield slice(start, stop)
            start = stop
