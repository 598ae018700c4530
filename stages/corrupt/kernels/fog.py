"""Fog: a cloud of diamond-square noise added to the image, which is then darkened to its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import ADDED, Image, Images, Kernel, Parameters, Rounding, Shape
from stages.corrupt.kernels.noise import draw_key, fill_all_words

_WIBBLE = 100.0
"""Square root of the largest random height at the first level (`imagecorruptions`, \
`plasma_fractal`). Only its ratio to the later levels shows."""


class Severity(Declared):
    """Parameters of one severity."""

    amount: Annotated[float, Field(gt=0.0, le=20.0)]
    """Thickest fog; 1 is the full range of the image."""

    decay: Annotated[float, Field(ge=1.0, le=20.0)]
    """Random heights are divided by the square of this from each level to the next finer one."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return the parameters of `severity` and the ``noise_key`` of the cloud."""
    return {
        "amount": severity.amount,
        "decay": severity.decay,
        "rounding": severity.rounding,
        "noise_key": draw_key(stream),
    }


def apply(images: Images, parameters: Sequence[Parameters], foggy: Images) -> None:
    """Write (image + 255 amount cloud) m / (m + 255 amount) for each image.

    m is its largest value, and the cloud has values in 0 to 1.
    """
    side = map_side(images.shape)
    _fog_all(
        images,
        np.array([entry["noise_key"] for entry in parameters], np.uint64),
        np.array([entry["amount"] for entry in parameters], np.float64),
        heights(side, [float(entry["decay"]) for entry in parameters]),
        np.array([ADDED[entry["rounding"]] for entry in parameters], np.float32),
        scratch.words(side * side),
        scratch.floats((_memory(side),)),
        foggy,
    )


def apply_words(image: Image, words: NDArray[np.uint32], amount: float, decay: float) -> Image:
    """Return `image` in the fog of given random `words`, cut off to whole grey levels.

    Parameters
    ----------
    image : (H, W, C) uint8
    words : (S * S - 1,) uint32
        For S = ``map_side(image.shape)``; as signed numbers times 2**-31 they are the uniform
        numbers in [-1, 1) of `plasma_fractal`, in its order.
    amount, decay : float
        As in `Severity`.
    """
    side = map_side(image.shape)
    memory = np.empty(_memory(side), np.float32)
    foggy = np.empty_like(image)
    _cloud(words, heights(side, [decay])[0], memory)
    _fog(image, memory[: side * side].reshape(side, side), amount, 0.0, foggy)
    return foggy


def map_side(shape: tuple[int, ...]) -> int:
    """Return the side of the square map: the power of 2 that holds an image (..., H, W, C)."""
    return 1 << (max(shape[-3:-1]) - 1).bit_length()


def _memory(side: int) -> int:
    """Return the floats that `_cloud` needs: the map, the next coarser one, and four rows."""
    return side * side + side * side // 4 + 4 * side


def heights(side: int, decays: Sequence[float]) -> NDArray[np.float32]:
    """Return (N, log2 side): the height at each level of a word of 1, as a signed number."""
    steps = np.empty((len(decays), side.bit_length() - 1), np.float32)
    for row, decay in enumerate(decays):
        wibble = _WIBBLE
        for level in range(steps.shape[1]):
            steps[row, level] = wibble * wibble * 2.0**-31
            wibble /= decay
    return steps


@compiled(
    "void(Array(uint8, 4, 'C', True), Array(uint64, 1, 'C', True), Array(float64, 1, 'C', True),"
    " Array(float32, 2, 'C', True), Array(float32, 1, 'C', True), uint32[::1], float32[::1],"
    " uint8[:, :, :, ::1])"
)
def _fog_all(
    images: Images,
    keys: NDArray[np.uint64],
    amounts: NDArray[np.float64],
    steps: NDArray[np.float32],
    added: NDArray[np.float32],
    words: NDArray[np.uint32],
    memory: NDArray[np.float32],
    foggy: Images,
) -> None:
    side = 1 << steps.shape[1]
    for n in range(images.shape[0]):
        fill_all_words(keys[n], words)
        _cloud(words, steps[n], memory)
        cloud = memory[: side * side].reshape(side, side)
        _fog(images[n], cloud, amounts[n], added[n], foggy[n])


@compiled("void(Array(uint32, 1, 'C', True), Array(float32, 1, 'C', True), float32[::1])")
def _cloud(
    words: NDArray[np.uint32], steps: NDArray[np.float32], memory: NDArray[np.float32]
) -> None:
    # The map comes to lie at the start of memory. At every level a map of n x n points becomes
    # one of 2n x 2n, and the two change places.
    levels = steps.size
    whole = 1 << (2 * levels)
    rows = memory[whole + whole // 4 :].reshape(4, 1 << levels)
    first, second = memory[:whole], memory[whole : whole + whole // 4]
    coarse, fine = (first, second) if levels % 2 == 0 else (second, first)
    coarse[0] = np.float32(0.0)
    for level in range(levels):
        side = 1 << level
        area = side * side
        _refine(
            coarse[:area].reshape(side, side),
            words[area - 1 : 4 * area - 1].reshape(3, side, side),
            steps[level],
            rows[:, :side],
            fine[: 4 * area].reshape(2 * side, 2 * side),
        )
        coarse, fine = fine, coarse


@compiled(
    "void(Array(float32, 2, 'C', True), Array(uint32, 3, 'C', True), float32,"
    " float32[:, :], float32[:, ::1])"
)
def _refine(
    coarse: NDArray[np.float32],
    words: NDArray[np.uint32],
    step: float,
    rows: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    # A point between others is their mean and a random height; the map joins its opposite edges.
    side = coarse.shape[0]
    above, centre, across, down = rows[0], rows[1], rows[2], rows[3]
    _centres(coarse[side - 1], coarse[0], words[0, side - 1], step, above)
    for i in range(side):
        upper, lower = coarse[i], coarse[(i + 1) % side]
        _centres(upper, lower, words[0, i], step, centre)
        for j in range(side):
            k = j + 1 if j + 1 < side else 0
            around = (centre[j] + above[j]) + (upper[j] + upper[k])
            across[j] = around * np.float32(0.25) + np.float32(np.int32(words[1, i, j])) * step
        for j in range(side):
            k = j - 1 if j > 0 else side - 1
            around = (centre[j] + centre[k]) + (upper[j] + lower[j])
            down[j] = around * np.float32(0.25) + np.float32(np.int32(words[2, i, j])) * step
        even, odd = fine[2 * i], fine[2 * i + 1]
        for j in range(side):
            even[2 * j] = upper[j]
            even[2 * j + 1] = across[j]
        for j in range(side):
            odd[2 * j] = down[j]
            odd[2 * j + 1] = centre[j]
        above, centre = centre, above


@compiled(
    "void(Array(float32, 1, 'C', True), Array(float32, 1, 'C', True), Array(uint32, 1, 'C', True),"
    " float32, float32[:])"
)
def _centres(
    upper: NDArray[np.float32],
    lower: NDArray[np.float32],
    words: NDArray[np.uint32],
    step: float,
    centre: NDArray[np.float32],
) -> None:
    side = upper.size
    for j in range(side):
        k = j + 1 if j + 1 < side else 0
        around = (upper[j] + lower[j]) + (upper[k] + lower[k])
        centre[j] = around * np.float32(0.25) + np.float32(np.int32(words[j])) * step


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(float32, 2, 'C', True), float64, float32,"
    " uint8[:, :, ::1])"
)
def _fog(
    image: Image, cloud: NDArray[np.float32], amount: float, added: float, foggy: Image
) -> None:
    height, width, channels = image.shape
    side = cloud.shape[0]
    lows, highs = cloud[0].copy(), cloud[0].copy()
    for y in range(side):
        for x in range(side):
            value = cloud[y, x]
            lows[x] = min(lows[x], value)
            highs[x] = max(highs[x], value)
    low, high = lows.min(), highs.max()
    largest = np.uint8(0)
    values = image.reshape(-1)
    for i in range(values.size):
        largest = max(largest, values[i])
    thickest = 255.0 * amount
    slope = np.float32(thickest / (np.float64(high) - np.float64(low)))
    kept = np.float32(np.float64(largest) / (np.float64(largest) + thickest))
    fog = np.empty(width * channels, np.float32)
    for y in range(height):
        for x in range(width):
            thickness = (cloud[y, x] - low) * slope
            for c in range(channels):
                fog[x * channels + c] = thickness
        clean, out = image[y].reshape(-1), foggy[y].reshape(-1)
        for j in range(fog.size):
            value = (np.float32(clean[j]) + fog[j]) * kept + added
            out[j] = np.uint8(np.int32(value))


KERNEL = Kernel(name="fog", severity=Severity, draw=draw, apply=apply)
