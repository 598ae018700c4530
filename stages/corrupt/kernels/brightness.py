"""Brightness: a constant added to the value of HSV."""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import (
    ADDED,
    LEVELS,
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

    amount: Annotated[float, Field(ge=-1.0, le=1.0)]
    """Added to the value (the largest channel); 1 is the full range of the image."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``amount`` and ``rounding``: nothing is random."""
    return {"amount": severity.amount, "rounding": severity.rounding}


def apply(images: Images, parameters: Parameters, brighter: Images) -> None:
    """Write each image with hue and saturation kept and the value raised by ``amount``."""
    count, height, width, channels = images.shape
    by_largest = table(float(parameters["amount"]), ADDED[parameters["rounding"]])
    pixels = (count * height * width, channels)
    _look_up(images.reshape(pixels), by_largest, brighter.reshape(pixels))


@functools.lru_cache(maxsize=16)
def table(amount: float, added: float) -> NDArray[np.uint8]:
    """Return the new channel value, by the pixel's largest channel and the old channel value.

    With V the largest channel and V' = clip(V + amount), hue and saturation kept mean that every
    channel x becomes V' (1 - (V - x) / V), and V' where V is 0. The operations are those of
    `skimage.color` for the largest and the smallest channel, in the same order, so that
    truncation falls the same way. `added` comes before it, in grey levels.

    Returns
    -------
    table : (256, 256) uint8, read-only
    """
    value = LEVELS[:, np.newaxis]
    possible = (value >= LEVELS) & (value > 0.0)
    saturation = np.divide(value - LEVELS, value, out=np.zeros((256, 256)), where=possible)
    raised = np.clip(value + amount, 0.0, 1.0)
    new = np.clip(raised * (1.0 - saturation), 0.0, 1.0) * 255.0 + added
    truncated = new.astype(np.uint8)
    truncated.setflags(write=False)
    return truncated


@compiled("void(Array(uint8, 2, 'C', True), Array(uint8, 2, 'C', True), uint8[:, ::1])")
def _look_up(pixels: Image, by_largest: NDArray[np.uint8], brighter: Image) -> None:
    for i in range(pixels.shape[0]):
        largest = pixels[i, 0]
        for c in range(1, pixels.shape[1]):
            largest = max(largest, pixels[i, c])
        for c in range(pixels.shape[1]):
            brighter[i, c] = by_largest[largest, pixels[i, c]]


KERNEL = Kernel(name="brightness", severity=Severity, draw=draw, apply=in_runs(apply))
