"""Frost: a part of a photograph of frost, added to the darkened image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.frost_pictures import PICTURES, crop, factor_for, resized_shape, sheet
from stages.corrupt.kernels.kernel import ADDED, Images, Kernel, Parameters, Rounding, Shape


class Severity(Declared):
    """Parameters of one severity."""

    image: Annotated[float, Field(ge=0.0, le=2.0)]
    """The image is multiplied by this."""

    frost: Annotated[float, Field(gt=0.0, le=2.0)]
    """The photograph is multiplied by this."""

    scale: Annotated[float, Field(ge=0.1, le=2.0)] = 1.1
    """The photographs, of 315 to 600 rows, are resized by this: 1.1 in `imagecorruptions`, 1 in \
the script of ImageNet-C and 0.2 in that of CIFAR-10-C. One that is too small for an image is \
resized to 1.1 times the image."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity`, the ``picture`` and the ``top`` and ``left`` of a part.

    The picture is one of `PICTURES`, counted from 0; the place is uniform among all that lie
    within it except those along its last row and column, as in `imagecorruptions`.
    """
    height, width, _ = shape
    # 32 bits each, brought to a range by the high half of a product.
    parts: list[int] = stream.child("part").below(1 << 32, 3).tolist()
    index = parts[0] * len(PICTURES) >> 32
    picture = PICTURES[index]
    rows, columns = resized_shape(picture, factor_for(picture, severity.scale, height, width))
    return {
        "image": severity.image,
        "frost": severity.frost,
        "scale": severity.scale,
        "rounding": severity.rounding,
        "picture": index,
        "top": parts[1] * (rows - height) >> 32,
        "left": parts[2] * (columns - width) >> 32,
    }


def apply(images: Images, parameters: Sequence[Parameters], frosted: Images) -> None:
    """Write clip(``image`` image + ``frost`` part), brought to whole grey levels, for each image.

    Raises
    ------
    MissingInputError
        If the photographs are not installed.
    DataError
        If other ones are.
    """
    for scale, group in groupby(range(len(images)), lambda row: float(parameters[row]["scale"])):
        rows = list(group)
        among = slice(rows[0], rows[-1] + 1)
        _apply_scaled(images[among], parameters[among], scale, frosted[among])


def _apply_scaled(
    images: Images, parameters: Sequence[Parameters], scale: float, frosted: Images
) -> None:
    _, height, width, channels = images.shape
    if all(factor_for(picture, scale, height, width) == scale for picture in PICTURES):
        values, starts = sheet(scale, channels)
        places = np.empty((len(images), 2), np.int64)
        for row, entry in enumerate(parameters):
            index = int(entry["picture"])
            stride = resized_shape(PICTURES[index], scale)[1]
            place = int(entry["top"]) * stride + int(entry["left"])
            places[row] = starts[index] + place * channels, stride * channels
        _add(images, values, places, *_weights(parameters), frosted)
        return
    for row, entry in enumerate(parameters):
        picture = PICTURES[int(entry["picture"])]
        factor = factor_for(picture, scale, height, width)
        window = int(entry["top"]), int(entry["left"]), height, width
        part = crop(picture, factor, window, channels).reshape(-1)
        one = slice(row, row + 1)
        whole = np.array([[0, width * channels]], np.int64)
        _add(images[one], part, whole, *_weights(parameters[one]), frosted[one])


def _weights(
    parameters: Sequence[Parameters],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, 2): ``image`` and ``frost`` of each entry; and (N,), what is added at the end."""
    weights = [(entry["image"], entry["frost"]) for entry in parameters]
    return np.array(weights, np.float64), np.array(
        [ADDED[entry["rounding"]] for entry in parameters]
    )


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(uint8, 1, 'C', True), Array(int64, 2, 'C', True),"
    " Array(float64, 2, 'C', True), Array(float64, 1, 'C', True), uint8[:, :, :, ::1])"
)
def _add(
    images: Images,
    values: NDArray[np.uint8],
    places: NDArray[np.int64],
    weights: NDArray[np.float64],
    added: NDArray[np.float64],
    frosted: Images,
) -> None:
    # places: where the part of each image begins in values, and the length of its rows there.
    count, height, width, channels = images.shape
    size = width * channels
    for n in range(count):
        of_image, of_frost, end = weights[n, 0], weights[n, 1], added[n]
        for y in range(height):
            start = places[n, 0] + y * places[n, 1]
            ice = values[start : start + size]
            clean, out = images[n, y].reshape(-1), frosted[n, y].reshape(-1)
            for j in range(size):
                value = of_image * np.float64(clean[j]) + of_frost * np.float64(ice[j])
                out[j] = np.uint8(np.int32(min(value, 255.0) + end))


KERNEL = Kernel(name="frost", severity=Severity, draw=draw, apply=apply)
