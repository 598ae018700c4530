"""Speckle noise: every channel value times an independent normal number of mean 1."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.noise import draw_key, standard_normal


class Severity(Declared):
    """Parameters of one severity."""

    sigma: Annotated[float, Field(gt=0.0, le=4.0)]
    """Standard deviation of the factor; the noise of a white pixel has this share of white."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``sigma`` and the ``noise_key`` of the field."""
    return {"sigma": severity.sigma, "noise_key": draw_key(stream)}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` with the noise of `parameters`."""
    field = standard_normal(int(parameters["noise_key"]), image.shape)
    return apply_field(image, field, float(parameters["sigma"]))


def apply_field(image: Image, field: NDArray[np.float32], sigma: float) -> Image:
    """Return clip(image + image sigma field) truncated to whole grey levels.

    Parameters
    ----------
    image : (H, W, C) uint8
    field : (H, W, C) float32
        Standard normal numbers.
    sigma : float
        Standard deviation of the factor of each value.
    """
    noisy = np.empty_like(image)
    _scale(image.reshape(-1), field.reshape(-1), sigma, noisy.reshape(-1))
    return noisy


@compiled("void(Array(uint8, 1, 'C', True), Array(float32, 1, 'C', True), float32, uint8[::1])")
def _scale(image: Image, field: NDArray[np.float32], sigma: float, noisy: Image) -> None:
    for i in range(image.size):
        clean = np.float32(image[i])
        value = clean + clean * (sigma * field[i])
        value = min(max(value, np.float32(0.0)), np.float32(255.0))
        noisy[i] = np.uint8(np.int32(value))


KERNEL = Kernel(name="speckle_noise", severity=Severity, draw=draw, apply=one_by_one(apply))
