"""Black corner: everything outside a central disk becomes black, as a dermatoscope's tube shows."""

from __future__ import annotations

import functools
import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Images, Kernel, Parameters, Shape, in_runs


class Severity(Declared):
    """Parameters of one severity."""

    multiplier: Annotated[float, Field(gt=0.0, le=10.0)]
    """Radius of the disk as a multiple of half the smaller side."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``multiplier``: nothing is random."""
    return {"multiplier": severity.multiplier}


def apply(images: Images, parameters: Parameters, cornered: Images) -> None:
    """Write each image, black outside the disk."""
    columns = disk_columns(images.shape[1], images.shape[2], float(parameters["multiplier"]))
    _blacken(images, columns, cornered)


@functools.lru_cache(maxsize=64)
def disk_columns(height: int, width: int, multiplier: float) -> NDArray[np.int64]:
    """Return the first column of the disk in each row, and the one after the last.

    The disk holds all pixels at most a radius away from the pixel (width // 2, height // 2): those
    that OpenCV's filled circle has. The radius is ``multiplier`` times half the smaller side, cut
    off to whole pixels (MedMNIST-C 0.1.0, `BlackCorner`).

    Returns
    -------
    columns : (H, 2) int64, read-only
        Both 0 in a row that the disk does not reach.
    """
    radius = int(min(width // 2, height // 2) * multiplier)
    columns = np.zeros((height, 2), np.int64)
    for y in range(height):
        away = abs(y - height // 2)
        if away <= radius:
            half = math.isqrt(radius * radius - away * away)
            columns[y] = max(0, width // 2 - half), min(width, width // 2 + half + 1)
    columns.setflags(write=False)
    return columns


@compiled("void(Array(uint8, 4, 'C', True), Array(int64, 2, 'C', True), uint8[:, :, :, ::1])")
def _blacken(images: Images, columns: NDArray[np.int64], cornered: Images) -> None:
    for n in range(images.shape[0]):
        for y in range(images.shape[1]):
            first, end = columns[y, 0], columns[y, 1]
            cornered[n, y, :first] = np.uint8(0)
            cornered[n, y, first:end] = images[n, y, first:end]
            cornered[n, y, end:] = np.uint8(0)


KERNEL = Kernel(name="black_corner", severity=Severity, draw=draw, apply=in_runs(apply))
