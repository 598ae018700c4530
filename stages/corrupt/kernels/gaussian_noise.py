"""Gaussian noise: an independent normal number added to every channel value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import ADDED, Image, Images, Kernel, Parameters, Rounding, Shape
from stages.corrupt.kernels.noise import draw_key, fill_normals, fill_words, normal_quantiles


class Severity(Declared):
    """Parameters of one severity."""

    sigma: Annotated[float, Field(gt=0.0, le=2.0)]
    """Standard deviation of the noise; 1 is the full range of the image."""

    rounding: Rounding = "down"


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``sigma``, ``rounding`` and the ``noise_key`` of the field."""
    return {
        "sigma": severity.sigma,
        "rounding": severity.rounding,
        "noise_key": draw_key(stream),
    }


def apply(images: Images, parameters: Sequence[Parameters], noisy: Images) -> None:
    """Write clip(image + 255 sigma field), brought to whole grey levels, for each image."""
    count = len(images)
    _add_noise(
        images.reshape(count, -1),
        np.array([entry["noise_key"] for entry in parameters], np.uint64),
        np.array([255.0 * float(entry["sigma"]) for entry in parameters], np.float32),
        np.array([ADDED[entry["rounding"]] for entry in parameters], np.float32),
        normal_quantiles(),
        noisy.reshape(count, -1),
    )


def apply_field(image: Image, field: NDArray[np.float32], sigma: float) -> Image:
    """Return `image` with a given noise field, truncated to whole grey levels.

    Parameters
    ----------
    image : (H, W, C) uint8
    field : (H, W, C) float32
        Standard normal numbers.
    sigma : float
        Standard deviation; 1 is the full range of the image.
    """
    noisy = np.empty_like(image)
    _add(image.reshape(-1), field.reshape(-1), 255.0 * sigma, 0.0, noisy.reshape(-1))
    return noisy


@compiled(
    "void(Array(uint8, 1, 'C', True), Array(float32, 1, 'C', True), float32, float32, uint8[::1])"
)
def _add(
    image: Image, field: NDArray[np.float32], scale: float, added: float, noisy: Image
) -> None:
    for i in range(image.size):
        value = np.float32(image[i]) + scale * field[i]
        value = min(max(value, np.float32(0.0)), np.float32(255.0))
        noisy[i] = np.uint8(np.int32(value + added))


@compiled(
    "void(Array(uint8, 2, 'C', True), Array(uint64, 1, 'C', True), Array(float32, 1, 'C', True),"
    " Array(float32, 1, 'C', True), Array(float32, 1, 'C', True), uint8[:, ::1])"
)
def _add_noise(
    images: Images,
    keys: NDArray[np.uint64],
    scales: NDArray[np.float32],
    added: NDArray[np.float32],
    quantiles: NDArray[np.float32],
    noisy: Images,
) -> None:
    words, field = np.empty(1024, np.uint32), np.empty(1024, np.float32)
    for n in range(images.shape[0]):
        for start in range(0, images.shape[1], 1024):
            image, out = images[n, start : start + 1024], noisy[n, start : start + 1024]
            fill_words(keys[n], start // 1024, words)
            fill_normals(words, quantiles, field)
            _add(image, field, scales[n], added[n], out)


KERNEL = Kernel(name="gaussian_noise", severity=Severity, draw=draw, apply=apply)
