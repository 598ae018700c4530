"""Snow: the image paled, under flakes that fall two opposite ways."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import exact_math, scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.flakes import enlarge, fall, filled_path_weights, positions
from stages.corrupt.kernels.kernel import (
    ADDED,
    LEVELS,
    Image,
    Images,
    Kernel,
    Parameters,
    Rounding,
    Shape,
    runs,
)
from stages.corrupt.kernels.motion_blur import fill_path
from stages.corrupt.kernels.noise import draw_key, fill_all_normals, normal_quantiles

_STEEPEST, _TURNS = -135.0, 90.0
"""Degrees; the first angle of the flakes' fall, and the range of angles."""


class Severity(Declared):
    """Parameters of one severity."""

    mean: Annotated[float, Field(ge=-2.0, le=2.0)]
    """Mean of the normal field that makes the flakes; 1 is white."""

    spread: Annotated[float, Field(gt=0.0, le=2.0)]
    """Standard deviation of the field."""

    zoom: Annotated[float, Field(ge=1.0, le=16.0)]
    """The middle of the field is enlarged by this: the size of the flakes."""

    threshold: Annotated[float, Field(ge=0.0, le=2.0)]
    """Where the enlarged field is lower there is no flake."""

    radius: Annotated[int, Field(ge=1, le=100)]
    """Pixels; a flake's trace has 2 radius + 1 copies."""

    sigma: Annotated[float, Field(ge=0.1, le=200.0)]
    """Pixels; standard deviation of the half Gaussian of weights along the trace."""

    kept: Annotated[float, Field(ge=0.0, le=1.0)]
    """Share of the image that stays; the rest becomes paler: 1.5 gray + 0.5 where this is more."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity`, the field's ``noise_key`` and the ``angle`` of the fall.

    The angle is in degrees, uniform in [-135, -45): from the upper right to the upper left.
    """
    turn = float(stream.child("angle").uniform(1)[0])
    return {
        "mean": severity.mean,
        "spread": severity.spread,
        "zoom": severity.zoom,
        "threshold": severity.threshold,
        "radius": severity.radius,
        "sigma": severity.sigma,
        "kept": severity.kept,
        "rounding": severity.rounding,
        "noise_key": draw_key(stream),
        "angle": _STEEPEST + _TURNS * turn,
    }


def apply(images: Images, parameters: Sequence[Parameters], snowy: Images) -> None:
    """Write each image in its snow: see `apply_field`."""
    for rows in runs(parameters, frozenset({"noise_key", "angle"})):
        _apply_run(images[rows], parameters[rows], None, snowy[rows])


def apply_field(image: Image, field: NDArray[np.float32], parameters: Parameters) -> Image:
    """Return `image` in the snow of a given field.

    As in `imagecorruptions`, of which all steps that end in a threshold or in a rounding are
    followed in float64 and in its order: mean + spread field is enlarged bilinearly, set to 0
    below the threshold, clipped to 0 … 1, blurred along the fall and rounded to whole levels.
    These flakes and the same turned by 180 degrees are added to the paled image.

    Parameters
    ----------
    image : (H, W, C) uint8
    field : (h, w) float32
        Standard normal numbers, for (h, w) = ``field_shape(H, W, zoom)``: those in the middle of
        a field of (H, W), which are all that is used of it.
    parameters : Parameters
        Those of `Severity` and the ``angle``.
    """
    snowy = np.empty_like(image)
    _apply_run(image[np.newaxis], [parameters], field, snowy[np.newaxis])
    return snowy


def field_shape(height: int, width: int, zoom: float) -> tuple[int, int]:
    """Return the size of the field that is enlarged to an image of `height` x `width`."""
    return math.ceil(height / zoom), math.ceil(width / zoom)


def _apply_run(
    images: Images,
    parameters: Sequence[Parameters],
    field: NDArray[np.float32] | None,
    snowy: Images,
) -> None:
    """Write images that differ in key and angle alone; a given `field` replaces that of the key."""
    shared = parameters[0]
    _, height, width, _ = images.shape
    zoom, length = float(shared["zoom"]), 2 * int(shared["radius"]) + 1
    shape = field_shape(height, width, zoom)
    turns = [exact_math.sin_cos_degrees(float(entry["angle"])) for entry in parameters]
    _snow_all(
        images,
        np.array([entry.get("noise_key", 0) for entry in parameters], np.uint64),
        np.array(turns),
        (float(shared["mean"]), float(shared["spread"]), float(shared["threshold"])),
        *positions(shape[0], zoom),
        *positions(shape[1], zoom),
        filled_path_weights(length, float(shared["sigma"])),
        float(shared["kept"]),
        ADDED[shared["rounding"]] if "rounding" in shared else 0.0,
        normal_quantiles(),
        np.empty(shape, np.float32) if field is None else np.ascontiguousarray(field),
        field is None,
        LEVELS,
        scratch.words(2 * (height + length) * (width + 2 * length)).view(np.float64),
        np.empty((height, width), np.uint8),
        snowy,
    )


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(uint64, 1, 'C', True), Array(float64, 2, 'C', True),"
    " UniTuple(float64, 3), Array(int64, 1, 'C', True), Array(float64, 1, 'C', True),"
    " Array(int64, 1, 'C', True), Array(float64, 1, 'C', True), Array(float64, 1, 'C', True),"
    " float64, float64, Array(float32, 1, 'C', True), float32[:, ::1], boolean,"
    " Array(float64, 1, 'C', True), float64[::1], uint8[:, ::1], uint8[:, :, :, ::1])"
)
def _snow_all(
    images: Images,
    keys: NDArray[np.uint64],
    turns: NDArray[np.float64],
    law: tuple[float, float, float],
    rows: NDArray[np.int64],
    row_parts: NDArray[np.float64],
    columns: NDArray[np.int64],
    column_parts: NDArray[np.float64],
    weights: NDArray[np.float64],
    kept: float,
    added: float,
    quantiles: NDArray[np.float32],
    field: NDArray[np.float32],
    drawn: bool,
    levels: NDArray[np.float64],
    memory: NDArray[np.float64],
    flakes: NDArray[np.uint8],
    snowy: Images,
) -> None:
    _, height, width, _ = images.shape
    copies, stopped = np.empty((2, weights.size), np.int64), np.empty_like(weights)
    for n in range(images.shape[0]):
        if drawn:
            fill_all_normals(keys[n], quantiles, field.reshape(-1))
        fill_path(turns[n, 0], turns[n, 1], copies)
        stopped[:] = weights
        for k in range(weights.size):
            # The path stops where it has left the enlarged field.
            if abs(copies[0, k]) >= rows.size or abs(copies[1, k]) >= columns.size:
                stopped[k:] = 0.0
            if stopped[k] == 0.0:
                copies[:, k] = 0
        up, left = max(0, copies[0].max()), max(0, copies[1].max())
        down, right = max(0, -copies[0].min()), max(0, -copies[1].min())
        shape = (height + up + down, width + left + right)
        layer = memory[: shape[0] * shape[1]].reshape(shape)
        enlarge(field, law, rows, row_parts, columns, column_parts, up, left, layer)
        fall(layer, copies, stopped, up, left, flakes)
        _compose(images[n], flakes, levels, kept, added, snowy[n])


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(uint8, 2, 'C', True), Array(float64, 1, 'C', True),"
    " float64, float64, uint8[:, :, ::1])"
)
def _compose(
    image: Image,
    flakes: NDArray[np.uint8],
    levels: NDArray[np.float64],
    kept: float,
    added: float,
    snowy: Image,
) -> None:
    # The image in float32 and the flakes in float64, as in the package; the weights of gray are
    # those of OpenCV's conversion.
    height, width, channels = image.shape
    share, rest = np.float32(kept), np.float32(1.0 - kept)
    size = width * channels
    values, pale = np.empty(size, np.float32), np.empty(size, np.float32)
    falling, rising = np.empty(size, np.float64), np.empty(size, np.float64)
    for y in range(height):
        clean, out = image[y].reshape(-1), snowy[y].reshape(-1)
        for j in range(size):
            values[j] = np.float32(clean[j]) / np.float32(255.0)
        for x in range(width):
            gray = values[x * channels]
            if channels == 3:
                gray = (
                    values[x * 3] * np.float32(0.299)
                    + values[x * 3 + 1] * np.float32(0.587)
                    + values[x * 3 + 2] * np.float32(0.114)
                )
            gray = gray * np.float32(1.5) + np.float32(0.5)
            one, other = levels[flakes[y, x]], levels[flakes[height - 1 - y, width - 1 - x]]
            for c in range(channels):
                pale[x * channels + c] = gray
                falling[x * channels + c] = one
                rising[x * channels + c] = other
        for j in range(size):
            paled = share * values[j] + rest * max(values[j], pale[j])
            value = np.float64(paled) + falling[j] + rising[j]
            out[j] = np.uint8(np.int32(min(max(value, 0.0), 1.0) * 255.0 + added))


KERNEL = Kernel(name="snow", severity=Severity, draw=draw, apply=apply)
