"""Enhance contrast: values drawn towards or away from the mean grey, as Pillow's enhancer does."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.blending import blend
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Images, Kernel, Parameters, Shape, in_runs
from stages.corrupt.kernels.luminance import luminance_of


class Severity(Declared):
    """Parameters of one severity."""

    factor: Annotated[float, Field(ge=0.0, le=10.0)]
    """Distances from the mean grey are multiplied by this: 0 is flat grey, 1 the image."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``factor``: nothing is random."""
    return {"factor": severity.factor}


def apply(images: Images, parameters: Parameters, enhanced: Images) -> None:
    """Write each image with distances from its mean grey multiplied, clipped and truncated.

    The mean grey is one level for all channels: the mean luminance (see `luminance`), rounded. The
    bytes are those of Pillow's ``ImageEnhance.Contrast``.
    """
    count, height, width, channels = images.shape
    pixels = (count, height * width, channels)
    _enhance(images.reshape(pixels), float(parameters["factor"]), enhanced.reshape(pixels))


@compiled("int64(Array(uint8, 2, 'C', True))")
def _sum_of_luminance(pixels: Image) -> np.int64:
    total = np.int64(0)
    if pixels.shape[1] == 1:
        for i in range(pixels.shape[0]):
            total += np.int64(pixels[i, 0])
    else:
        for i in range(pixels.shape[0]):
            total += np.int64(luminance_of(pixels[i, 0], pixels[i, 1], pixels[i, 2]))
    return total


@compiled("void(Array(uint8, 3, 'C', True), float64, uint8[:, :, ::1])")
def _enhance(images: Images, factor: float, enhanced: Images) -> None:
    for n in range(images.shape[0]):
        mean = np.floor(_sum_of_luminance(images[n]) / images.shape[1] + 0.5)
        blend(images[n].reshape(-1), mean, factor, enhanced[n].reshape(-1))


KERNEL = Kernel(name="enhance_contrast", severity=Severity, draw=draw, apply=in_runs(apply))
