"""Spatter: drops of water that shine, or blots of mud that cover the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
import pydantic
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.gaussian_filter64 import half_filter, smooth_in_float64
from stages.corrupt.kernels.kernel import (
    ADDED,
    Image,
    Images,
    Kernel,
    Parameters,
    Rounding,
    Shape,
    runs,
)
from stages.corrupt.kernels.noise import draw_key, fill_all_normals, normal_quantiles
from stages.corrupt.kernels.relief import shine_of

_WATER = (175 / 255.0, 238 / 255.0, 238 / 255.0)
_MUD = (63 / 255.0, 42 / 255.0, 20 / 255.0)
"""Pale turquoise and mud brown (`imagecorruptions`)."""

_GRAY = (0.2989, 0.5870, 0.1140)
"""Weights of red, green and blue in the gray of a colour (`imagecorruptions`, `rgb2gray`)."""

_CELLS = 5
"""Words of working memory for each pixel, a margin of two pixels included."""


class Severity(Declared):
    """Parameters of one severity."""

    liquid: Literal["water", "mud"]
    """Water is added to the image, mud takes its place."""

    mean: Annotated[float, Field(ge=0.0, le=2.0)]
    """Mean of the normal field that makes the drops."""

    spread: Annotated[float, Field(gt=0.0, le=2.0)]
    """Standard deviation of the field."""

    smoothing: Annotated[float, Field(ge=0.2, le=20.0)]
    """Pixels; standard deviation of the Gaussian filter of the field: the size of the drops."""

    threshold: Annotated[float, Field(ge=0.0, le=2.0)]
    """Where the smoothed field is lower there is no liquid."""

    shine: Annotated[float, Field(ge=0.0, le=4.0)] | None = None
    """Water alone: what its brightest pixel adds; 1 is the whole colour of water."""

    edge: Annotated[float, Field(ge=0.2, le=20.0)] | None = None
    """Mud alone: pixels; standard deviation of the Gaussian filter of the blots."""

    rounding: Rounding = "down"

    @pydantic.model_validator(mode="after")
    def _has_its_own(self) -> Self:
        if (self.shine is None) != (self.liquid == "mud") or (self.edge is None) != (
            self.liquid == "water"
        ):
            message = "water has a 'shine' and no 'edge', mud an 'edge' and no 'shine'"
            raise ValueError(message)
        return self


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity` and the ``noise_key`` of the field."""
    drawn: dict[str, int | float | str] = severity.model_dump(exclude_none=True)
    return {**drawn, "noise_key": draw_key(stream)}


def apply(images: Images, parameters: Sequence[Parameters], spattered: Images) -> None:
    """Write each image with its drops: see `apply_field`."""
    for rows in runs(parameters, frozenset({"noise_key"})):
        keys = np.array([entry["noise_key"] for entry in parameters[rows]], np.uint64)
        _apply_run(images[rows], parameters[rows.start], keys, None, spattered[rows])


def apply_field(image: Image, field: NDArray[np.float32], parameters: Parameters) -> Image:
    """Return `image` with the drops of a given field.

    As in `imagecorruptions`: there is liquid where mean + spread field, smoothed, reaches the
    threshold. All that comes before a threshold or a rounding is done in its precision and order.

    Water shines by the product of the liquid's level and of the relief of its edges: distances to
    them, cut off at 20 pixels, equalised and embossed. The largest product shines by ``shine``. An
    image on which no water falls only loses what is cut off (the package divides 0 by 0 there).

    Mud covers by the share of liquid around a pixel, smoothed by ``edge``, where it is 0.8 or more.

    Parameters
    ----------
    image : (H, W, C) uint8
    field : (H, W) float32
        Standard normal numbers.
    parameters : Parameters
        Those of `Severity`.
    """
    spattered = np.empty_like(image)
    keys = np.zeros(1, np.uint64)
    _apply_run(image[np.newaxis], parameters, keys, field, spattered[np.newaxis])
    return spattered


def _apply_run(
    images: Images,
    parameters: Parameters,
    keys: NDArray[np.uint64],
    field: NDArray[np.float32] | None,
    spattered: Images,
) -> None:
    """Write images that differ in key alone; a given `field` replaces that of the key."""
    _, height, width, _ = images.shape
    water = parameters["liquid"] == "water"
    first = half_filter(float(parameters["smoothing"]), height, width)
    second = first if water else half_filter(float(parameters["edge"]), height, width)
    _spatter_all(
        images,
        keys,
        scratch.floats((height, width)) if field is None else np.ascontiguousarray(field),
        field is None,
        normal_quantiles(),
        (float(parameters["mean"]), float(parameters["spread"]), float(parameters["threshold"])),
        *first,
        *second,
        float(parameters["shine"]) if water else -1.0,
        ADDED[parameters.get("rounding", "down")],
        scratch.words(_CELLS * (height + 4) * (width + 4)),
        spattered,
    )


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(uint64, 1, 'C', True), float32[:, ::1], boolean,"
    " Array(float32, 1, 'C', True), UniTuple(float64, 3),"
    " Array(float64, 1, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " Array(float64, 1, 'C', True), Array(int64, 1, 'C', True), Array(int64, 1, 'C', True),"
    " float64, float32, uint32[::1], uint8[:, :, :, ::1])"
)
def _spatter_all(
    images: Images,
    keys: NDArray[np.uint64],
    field: NDArray[np.float32],
    drawn: bool,
    quantiles: NDArray[np.float32],
    drops: tuple[float, float, float],
    weights: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    edge_weights: NDArray[np.float64],
    edge_rows: NDArray[np.int64],
    edge_columns: NDArray[np.int64],
    shine: float,
    added: float,
    memory: NDArray[np.uint32],
    spattered: Images,
) -> None:
    _, height, width, _ = images.shape
    mean, spread, threshold = drops
    size, cells = height * width, (height + 4) * (width + 4)
    numbers = field.reshape(-1)
    plain = memory[: 2 * size].view(np.float64)
    smoothed = memory[2 * cells : 2 * cells + 2 * size].view(np.float64)
    for n in range(images.shape[0]):
        if drawn:
            fill_all_normals(keys[n], quantiles, numbers)
        for i in range(size):
            plain[i] = mean + spread * np.float64(numbers[i])
        shaped = smoothed.reshape(height, width)
        smooth_in_float64(plain.reshape(height, width), rows, columns, 1, weights, False, shaped)
        if shine >= 0.0:
            levels = memory[4 * cells :].view(np.uint8)[3 * cells : 3 * cells + size]
            for i in range(size):
                value = smoothed[i] if smoothed[i] >= threshold else 0.0
                # Levels above 255 begin again at 0, as in the package.
                levels[i] = np.uint8(np.int32(value * 255.0))
            products = memory[:size].view(np.int32).reshape(height, width)
            shine_of(levels.reshape(height, width), memory[2 * cells :], products)
            _add_water(images[n], products, shine, added, spattered[n])
        else:
            for i in range(size):
                plain[i] = 1.0 if smoothed[i] > threshold else 0.0
            mask = plain.reshape(height, width)
            smooth_in_float64(mask, edge_rows, edge_columns, 1, edge_weights, True, shaped)
            _cover_with_mud(images[n], shaped, added, spattered[n])


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(int32, 2, 'C', True), float64, float32,"
    " uint8[:, :, ::1])"
)
def _add_water(
    image: Image, products: NDArray[np.int32], shine: float, added: float, spattered: Image
) -> None:
    # Colours in float32, gray in float64, as in the package.
    height, width, channels = image.shape
    every = products.reshape(-1)
    most = np.int32(1)
    for i in range(every.size):
        most = max(most, every[i])
    zero, one, full = np.float32(0.0), np.float32(1.0), np.float32(255.0)
    red, green, blue = np.float32(_WATER[0]), np.float32(_WATER[1]), np.float32(_WATER[2])
    water = np.empty((width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            share = np.float32(products[y, x]) / np.float32(most) * np.float32(shine)
            water[x, 0], water[x, 1], water[x, 2] = share * red, share * green, share * blue
        clean, out, colours = image[y].reshape(-1), spattered[y].reshape(-1), water.reshape(-1)
        if channels == 3:
            for j in range(clean.size):
                lit = np.float32(clean[j]) / full + colours[j]
                out[j] = np.uint8(np.int32(min(max(lit, zero), one) * full + added))
            continue
        for x in range(width):
            gray = (
                np.float64(min(water[x, 0], one)) * _GRAY[0]
                + np.float64(min(water[x, 1], one)) * _GRAY[1]
                + np.float64(min(water[x, 2], one)) * _GRAY[2]
            )
            value = np.float64(np.float32(clean[x]) / full) + gray
            out[x] = np.uint8(np.int32(min(max(value, 0.0), 1.0) * 255.0 + added))


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(float64, 2, 'C', True), float32, uint8[:, :, ::1])"
)
def _cover_with_mud(
    image: Image, cover: NDArray[np.float64], added: float, spattered: Image
) -> None:
    # What stays of the image in float32, the mud in float64, as in the package.
    height, width, channels = image.shape
    one, full = np.float32(1.0), np.float32(255.0)
    stays, mud = np.empty((width, channels), np.float32), np.empty((width, channels), np.float64)
    for y in range(height):
        for x in range(width):
            share = np.float32(cover[y, x])
            share = share if share >= np.float32(0.8) else np.float32(0.0)
            depth = np.float64(share)
            red, green, blue = _MUD[0] * depth, _MUD[1] * depth, _MUD[2] * depth
            if channels == 3:
                stays[x, 0] = stays[x, 1] = stays[x, 2] = one - share
                mud[x, 0], mud[x, 1], mud[x, 2] = red, green, blue
            else:
                stays[x, 0] = one - share
                mud[x, 0] = red * _GRAY[0] + green * _GRAY[1] + blue * _GRAY[2]
        clean, out = image[y].reshape(-1), spattered[y].reshape(-1)
        kept, brown = stays.reshape(-1), mud.reshape(-1)
        for j in range(clean.size):
            value = np.float64(np.float32(clean[j]) / full * kept[j]) + brown[j]
            out[j] = np.uint8(np.int32(min(max(value, 0.0), 1.0) * 255.0 + added))


KERNEL = Kernel(name="spatter", severity=Severity, draw=draw, apply=apply)
