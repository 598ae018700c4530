"""Contrast: values drawn towards (or away from) the mean of their channel."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import (
    ADDED,
    Image,
    Images,
    Kernel,
    Parameters,
    Rounding,
    Shape,
    in_runs,
)


class Severity(Declared):
    """Parameters of one severity."""

    factor: Annotated[float, Field(ge=0.0, le=10.0)]
    """Distances from the mean are multiplied by this."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``factor`` and ``rounding``: nothing is random."""
    return {"factor": severity.factor, "rounding": severity.rounding}


def apply(images: Images, parameters: Parameters, flattened: Images) -> None:
    """Write (image - mean) factor + mean per channel, clipped and brought to whole grey levels.

    The mean of a channel is an exact integer sum and one division, so no order of summation
    matters; the rest is one table of 256 values per channel.
    """
    count, height, width, channels = images.shape
    _flatten(
        images.reshape(count, height, width * channels),
        channels,
        float(parameters["factor"]),
        ADDED[parameters["rounding"]],
        flattened.reshape(count, height * width, channels),
    )


@compiled("void(Array(uint8, 2, 'C', True), int64[::1])")
def _sum_channels(image: Image, sums: NDArray[np.int64]) -> None:
    columns = np.zeros(image.shape[1], np.int32)
    for y in range(image.shape[0]):
        for j in range(columns.size):
            columns[j] += np.int32(image[y, j])
    sums[:] = 0
    for j in range(columns.size):
        sums[j % sums.size] += columns[j]


@compiled("void(Array(uint8, 3, 'C', True), int64, float64, float64, uint8[:, :, ::1])")
def _flatten(images: Image, channels: int, factor: float, added: float, flattened: Images) -> None:
    sums = np.empty(channels, np.int64)
    new = np.empty((256, channels), np.uint8)
    for n in range(images.shape[0]):
        _sum_channels(images[n], sums)
        for c in range(channels):
            mean = sums[c] / (255.0 * flattened.shape[1])
            for level in range(256):
                value = (level / 255.0 - mean) * factor + mean
                new[level, c] = np.uint8(min(max(value, 0.0), 1.0) * 255.0 + added)
        pixels = images[n].reshape(-1)
        for i in range(flattened.shape[1]):
            for c in range(channels):
                flattened[n, i, c] = new[pixels[i * channels + c], c]


KERNEL = Kernel(name="contrast", severity=Severity, draw=draw, apply=in_runs(apply))
