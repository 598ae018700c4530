"""Gaussian blur: a weighted mean of the neighbourhood, with replicated edges."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import gaussian_filter, scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one


class Severity(Declared):
    """Parameters of one severity."""

    sigma: Annotated[float, Field(ge=0.1, le=100.0)]
    """Pixels; standard deviation. Weights end at 4 sigma."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``sigma``: nothing is random."""
    return {"sigma": severity.sigma}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` smoothed with ``sigma``, truncated to whole grey levels.

    The weights and edges are those of `skimage.filters.gaussian`, the arithmetic is float32.
    """
    height, width, channels = image.shape
    sigma = float(parameters["sigma"])
    clean, smoothed = scratch.floats((2, height, width * channels))
    blurred = np.empty_like(image)
    _to_floats(image.reshape(-1), clean.reshape(-1))
    gaussian_filter.smooth(clean, channels, (sigma, sigma), smoothed)
    _truncate(smoothed.reshape(-1), blurred.reshape(-1))
    return blurred


@compiled("void(Array(uint8, 1, 'C', True), float32[::1])")
def _to_floats(image: Image, values: NDArray[np.float32]) -> None:
    for i in range(image.size):
        values[i] = np.float32(image[i])


@compiled("void(Array(float32, 1, 'C', True), uint8[::1])")
def _truncate(values: NDArray[np.float32], levels: Image) -> None:
    # Rounding errors (below 2**-10) must not carry a flat area below its own level.
    guard = np.float32(2.0**-9)
    for i in range(values.size):
        levels[i] = np.uint8(np.int32(min(values[i] + guard, np.float32(255.0))))


KERNEL = Kernel(name="gaussian_blur", severity=Severity, draw=draw, apply=one_by_one(apply))
