"""Enhance brightness: every channel value multiplied, as Pillow's enhancer does."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.blending import blend
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Images, Kernel, Parameters, Shape, in_runs


class Severity(Declared):
    """Parameters of one severity."""

    factor: Annotated[float, Field(ge=0.0, le=10.0)]
    """Every value is multiplied by this: 0 is black, 1 the image, above 1 is brighter."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``factor``: nothing is random."""
    return {"factor": severity.factor}


def apply(images: Images, parameters: Parameters, enhanced: Images) -> None:
    """Write each image multiplied by ``factor``, clipped and truncated.

    The bytes are those of Pillow's ``ImageEnhance.Brightness``.
    """
    _multiply(images.reshape(-1), float(parameters["factor"]), enhanced.reshape(-1))


@compiled("void(Array(uint8, 1, 'C', True), float64, uint8[::1])")
def _multiply(values: Images, factor: float, enhanced: Images) -> None:
    blend(values, 0.0, factor, enhanced)


KERNEL = Kernel(name="enhance_brightness", severity=Severity, draw=draw, apply=in_runs(apply))
