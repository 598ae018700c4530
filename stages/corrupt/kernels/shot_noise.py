"""Shot noise: every channel value becomes a Poisson number of photons."""

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
from stages.corrupt.kernels.exact_math import exp
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.noise import draw_key, random_words


class Severity(Declared):
    """Parameters of one severity."""

    photons: Annotated[float, Field(gt=0.0, le=700.0)]
    """Expected number of photons of a white value; fewer photons are more noise."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``photons`` and the ``noise_key`` of the counts."""
    return {"photons": severity.photons, "noise_key": draw_key(stream)}


def apply(image: Image, parameters: Parameters) -> Image:
    """Return `image` as the photons of `parameters` show it."""
    photons = float(parameters["photons"])
    return apply_counts(photon_counts(image, int(parameters["noise_key"]), photons), photons)


def photon_counts(image: Image, key: int, photons: float) -> NDArray[np.uint16]:
    """Return a Poisson number for each value of `image`, by the inverse of the distribution.

    Of each random word 31 bits are m, and the count is the number of thresholds (see `thresholds`)
    that are not above m. Counts stop at ``ceil(photons)``: all from there on are white.

    Parameters
    ----------
    image : (H, W, C) uint8
        A value of x has the rate ``photons * x / 255``.

    Returns
    -------
    counts : (H, W, C) uint16
    """
    counts = np.empty(image.shape, np.uint16)
    words = random_words(key, image.size)
    _count(image.reshape(-1), words, thresholds(photons), _guide(photons), counts.reshape(-1))
    return counts


def apply_counts(counts: NDArray[np.integer], photons: float) -> Image:
    """Return clip(255 counts / photons) truncated to whole grey levels.

    Parameters
    ----------
    counts : (H, W, C) integers, at least 0
    photons : float
        Number of photons of a white value.
    """
    white = math.ceil(photons)
    levels = np.minimum(np.arange(white + 1) / photons, 1.0) * 255.0
    capped = np.minimum(counts, white).astype(np.uint16, copy=False)
    noisy = np.empty(counts.shape, np.uint8)
    _look_up(capped.reshape(-1), levels.astype(np.uint8), noisy.reshape(-1))
    return noisy


@functools.lru_cache(maxsize=16)
def thresholds(photons: float) -> NDArray[np.uint32]:
    """Return the distribution function of each grey level's count, in units of 2**-31.

    The terms of the Poisson law follow from each other, p(k) = p(k - 1) rate / k, and their
    running sum is off by less than 1e-12: far less than the rounding to 2**-31.

    Returns
    -------
    thresholds : (256, ceil(photons) + 1) uint32, read-only
        At [x, k] the probability of at most k photons; 2**31 in the last column.
    """
    white = math.ceil(photons)
    rates = np.arange(256) * photons / 255.0
    term = np.array([exp(-float(rate)) for rate in rates])
    total = term.copy()
    table = np.full((256, white + 1), 1 << 31, np.uint32)
    for k in range(white):
        table[:, k] = np.minimum(np.floor(total * 2.0**31 + 0.5), 2.0**31)
        term = term * rates / (k + 1)
        total = total + term
    table.setflags(write=False)
    return table


@functools.lru_cache(maxsize=16)
def _guide(photons: float) -> NDArray[np.uint16]:
    """Return where the search for a count starts, by grey level and the word's first eight bits.

    Returns
    -------
    guide : (256, 256) uint16, read-only
        At [x, b] the count of the smallest number that begins with the bits b.
    """
    smallest = np.arange(256, dtype=np.uint32) << np.uint32(23)
    guide = np.empty((256, 256), np.uint16)
    for row, own in zip(guide, thresholds(photons), strict=True):
        row[:] = np.searchsorted(own, smallest, side="right")
    guide.setflags(write=False)
    return guide


@compiled(
    "void(Array(uint8, 1, 'C', True), Array(uint32, 1, 'C', True), Array(uint32, 2, 'C', True),"
    " Array(uint16, 2, 'C', True), uint16[::1])"
)
def _count(
    image: Image,
    words: NDArray[np.uint32],
    table: NDArray[np.uint32],
    guide: NDArray[np.uint16],
    counts: NDArray[np.uint16],
) -> None:
    for i in range(image.size):
        row = table[image[i]]
        number = words[i] >> np.uint32(1)
        k = guide[image[i], words[i] >> np.uint32(24)]
        # No number reaches 2**31, so the last threshold always ends the search.
        while number >= row[k]:
            k += np.uint16(1)
        counts[i] = k


@compiled("void(Array(uint16, 1, 'C', True), Array(uint8, 1, 'C', True), uint8[::1])")
def _look_up(counts: NDArray[np.uint16], levels: NDArray[np.uint8], noisy: Image) -> None:
    for i in range(counts.size):
        noisy[i] = levels[counts[i]]


KERNEL = Kernel(name="shot_noise", severity=Severity, draw=draw, apply=one_by_one(apply))
