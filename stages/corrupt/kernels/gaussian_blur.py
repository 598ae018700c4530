"""Gaussian blur: a weighted mean of the neighbourhood, with replicated edges."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.gaussian_filter import smoothed
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
    # Rounding errors (below 2**-10) must not carry a flat area below its own level.
    return smoothed(image, float(parameters["sigma"]), 2.0**-9)


KERNEL = Kernel(name="gaussian_blur", severity=Severity, draw=draw, apply=one_by_one(apply))
