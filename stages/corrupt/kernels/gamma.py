"""Gamma correction: every channel value raised to a power."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.exact_math import DIGITS
from stages.corrupt.kernels.kernel import Images, Kernel, Parameters, Shape, in_runs


class Severity(Declared):
    """Parameters of one severity."""

    gamma: Annotated[float, Field(gt=0.0, le=10.0)]
    """Exponent; above 1 is darker, below 1 brighter."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``gamma``: nothing is random."""
    return {"gamma": severity.gamma}


def apply(images: Images, parameters: Parameters, corrected: Images) -> None:
    """Write each image with every channel value looked up in `table`."""
    _look_up(images.reshape(-1), table(float(parameters["gamma"])), corrected.reshape(-1))


@functools.lru_cache(maxsize=64)
def table(gamma: float) -> NDArray[np.uint8]:
    """Return the new level of each old one: 255.999 (level / 255)**gamma, cut off.

    The formula is torchvision's `adjust_gamma` for Pillow images, with gain 1.

    Returns
    -------
    table : (256,) uint8, read-only
    """
    exponent = Decimal(gamma)
    powers = [DIGITS.power(Decimal(level / 255.0), exponent) for level in range(256)]
    levels = np.array([int(255.999 * float(power)) for power in powers], np.uint8)
    levels.setflags(write=False)
    return levels


@compiled("void(Array(uint8, 1, 'C', True), Array(uint8, 1, 'C', True), uint8[::1])")
def _look_up(values: Images, levels: NDArray[np.uint8], corrected: Images) -> None:
    for i in range(values.size):
        corrected[i] = levels[values[i]]


KERNEL = Kernel(name="gamma", severity=Severity, draw=draw, apply=in_runs(apply))
