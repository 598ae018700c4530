"""Saturate: the saturation of HSV multiplied and raised."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import LEVELS, Image, Kernel, Parameters, Shape, one_by_one


class Severity(Declared):
    """Parameters of one severity."""

    factor: Annotated[float, Field(ge=0.0, le=100.0)]
    """The saturation is multiplied by this."""

    amount: Annotated[float, Field(ge=-1.0, le=1.0)]
    """Then this is added to it; 1 is full saturation."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``factor`` and ``amount``: nothing is random."""
    return {"factor": severity.factor, "amount": severity.amount}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` with the saturation changed, hue and value kept, truncated.

    A gray pixel has the hue of red, so an ``amount`` above 0 makes it red. An image of one channel
    has no saturation to change and is returned as it is.
    """
    if image.shape[2] == 1:
        return image.copy()
    saturated = np.empty_like(image)
    factor, amount = float(parameters["factor"]), float(parameters["amount"])
    _saturate(image, LEVELS, factor, amount, saturated)
    return saturated


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(float64, 1, 'C', True), float64, float64,"
    " uint8[:, :, ::1])"
)
def _saturate(
    image: Image, levels: NDArray[np.float64], factor: float, amount: float, saturated: Image
) -> None:
    # The operations are those of skimage.color's rgb2hsv and hsv2rgb in the same order, so that
    # truncation falls the same way. Short loops of one kind each suit a vector unit.
    height, width, _ = image.shape
    red, green, blue = np.empty(width), np.empty(width), np.empty(width)
    for y in range(height):
        for x in range(width):
            red[x] = levels[image[y, x, 0]]
            green[x] = levels[image[y, x, 1]]
            blue[x] = levels[image[y, x, 2]]
        for x in range(width):
            r, g, b = red[x], green[x], blue[x]
            value = max(r, g, b)
            delta = value - min(r, g, b)
            gray = delta == 0.0
            saturation = (0.0 if gray else delta / value) * factor + amount
            saturation = min(max(saturation, 0.0), 1.0)
            # Of equal largest channels the last one decides.
            above = r - g if b == value else (b - r if g == value else g - b)
            turn = 4.0 if b == value else (2.0 if g == value else 0.0)
            hue = 0.0 if gray else (turn + above / delta) / 6.0
            hue = hue + 1.0 if hue < 0.0 else hue
            sector = np.int32(hue * 6.0)
            part = hue * 6.0 - np.float64(sector)
            low = value * (1.0 - saturation)
            falling = value * (1.0 - part * saturation)
            rising = value * (1.0 - (1.0 - part) * saturation)
            r = falling if sector == 1 else (rising if sector == 4 else value)
            r = low if 2 <= sector <= 3 else r
            g = rising if sector == 0 else (falling if sector == 3 else value)
            g = low if sector >= 4 else g
            b = rising if sector == 2 else (falling if sector == 5 else value)
            b = low if sector <= 1 else b
            red[x], green[x], blue[x] = r * 255.0, g * 255.0, b * 255.0
        for x in range(width):
            saturated[y, x, 0] = np.uint8(np.int32(red[x]))
            saturated[y, x, 1] = np.uint8(np.int32(green[x]))
            saturated[y, x, 2] = np.uint8(np.int32(blue[x]))


KERNEL = Kernel(name="saturate", severity=Severity, draw=draw, apply=one_by_one(apply))
