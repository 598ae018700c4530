"""Contrast: values drawn towards (or away from) the mean of their channel."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape


class Severity(Declared):
    """Parameters of one severity."""

    factor: Annotated[float, Field(ge=0.0, le=10.0)]
    """Distances from the mean are multiplied by this."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float]:
    """Return ``factor``: nothing is random."""
    return {"factor": severity.factor}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return (image - mean) factor + mean per channel, clipped and truncated.

    The mean of a channel is an exact integer sum and one division, so no order of summation
    matters; the rest is one table of 256 values per channel.
    """
    height, width, channels = image.shape
    sums = np.zeros(channels, np.int64)
    _sum_channels(image.reshape(-1, channels), sums)
    means = sums / (255.0 * height * width)
    levels = np.arange(256, dtype=np.float64)[:, np.newaxis] / 255.0
    new = np.clip((levels - means) * float(parameters["factor"]) + means, 0.0, 1.0) * 255.0
    flattened = np.empty_like(image)
    _look_up(image.reshape(-1, channels), new.astype(np.uint8), flattened.reshape(-1, channels))
    return flattened


@compiled("void(Array(uint8, 2, 'C', True), int64[::1])")
def _sum_channels(pixels: Image, sums: NDArray[np.int64]) -> None:
    for c in range(pixels.shape[1]):
        total = 0
        for i in range(pixels.shape[0]):
            total += pixels[i, c]
        sums[c] = total


@compiled("void(Array(uint8, 2, 'C', True), Array(uint8, 2, 'C', True), uint8[:, ::1])")
def _look_up(pixels: Image, by_level: NDArray[np.uint8], new: Image) -> None:
    for i in range(pixels.shape[0]):
        for c in range(pixels.shape[1]):
            new[i, c] = by_level[pixels[i, c], c]


KERNEL = Kernel(name="contrast", severity=Severity, draw=draw, apply=apply)
