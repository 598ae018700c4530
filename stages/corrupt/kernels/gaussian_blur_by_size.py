"""Gaussian blur whose strength is the size of its square, with mirrored edges."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.borders import mirrored
from stages.corrupt.kernels.gaussian_filter import smoothed
from stages.corrupt.kernels.kernel import (
    SMALLEST_SIDE,
    Image,
    Kernel,
    Parameters,
    Shape,
    one_by_one,
)


class Severity(Declared):
    """Parameters of one severity."""

    size: Annotated[int, Field(ge=3, lt=2 * SMALLEST_SIDE)]
    """Pixels, odd; side of the square over which values are averaged."""

    @pydantic.field_validator("size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            message = "size must be odd"
            raise ValueError(message)
        return value


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``size``: nothing is random."""
    return {"size": severity.size}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` smoothed over squares of ``size``, rounded to whole grey levels.

    Standard deviation, weights, edges (mirrored around the edge pixel) and rounding are those of
    torchvision's `gaussian_blur` given a size alone; the arithmetic is float32.
    """
    size = int(parameters["size"])
    sigma = 0.15 * size + 0.35
    return smoothed(image, sigma, 0.5, truncate=(size // 2) / sigma, border=mirrored)


KERNEL = Kernel(name="gaussian_blur_by_size", severity=Severity, draw=draw, apply=one_by_one(apply))
