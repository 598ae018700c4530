"""Random numbers, smooth noise and grain, under the same rule of exactness as the canvas."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.download.phantom.canvas import Canvas, Plane

_BLOCK = 256
_NOISE_GAIN = 3.15
"""Brings quadratic B-spline noise of uniform numbers in [-1, 1) to unit variance."""
_RIPPLE_GAIN = 2.34
"""The same for noise along one axis only."""
_GRAIN_GAIN = 1.0 / math.sqrt(4 * (256**2 - 1) / 12)
"""Brings a sum of four random bytes to unit variance."""


class Draws:
    """Random numbers of one part of a picture, taken in order from a stream.

    The order in which a picture's code asks is part of the picture, so nothing it asks for may
    depend on the picture's size.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._block = 0
        self._numbers = stream.child(0).uniform(_BLOCK)
        self._next = 0

    def many(self, count: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Return `count` numbers in [low, high); `count` is at most 256."""
        if self._next + count > _BLOCK:
            self._block += 1
            self._numbers = self._stream.child(self._block).uniform(_BLOCK)
            self._next = 0
        taken = self._numbers[self._next : self._next + count]
        self._next += count
        return low + (high - low) * taken

    def between(self, low: float, high: float) -> float:
        """Return one number in [low, high)."""
        return float(self.many(1, low, high)[0])

    def below(self, bound: int) -> int:
        """Return one integer in [0, bound)."""
        return int(self.between(0.0, bound))

    def chance(self, probability: float) -> bool:
        """Return True with `probability`."""
        return self.between(0.0, 1.0) < probability

    def bell(self, mean: float, spread: float) -> float:
        """Return a number of about normal distribution, within 3.5 `spread` of `mean`.

        It is the scaled sum of four uniform numbers (Irwin-Hall distribution).
        """
        first, second, third, fourth = (float(number) for number in self.many(4, -0.5, 0.5))
        return mean + spread * 1.7320508 * (first + second + third + fourth)

    def direction(self) -> tuple[float, float]:
        """Return a unit vector of random direction.

        A quarter turn is ``((1-t²)/(1+t²), 2t/(1+t²))`` for t in [0, 1), the rational
        parametrisation of the circle; the quadrant is drawn as well.
        """
        t, quadrant = self.between(0.0, 1.0), self.below(4)
        cosine, sine = (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)
        return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[quadrant]


def clouds(canvas: Canvas, stream: Stream, cells: int, octaves: int = 1) -> Plane:
    """Return smooth noise of mean 0 and about unit variance, of `cells` cells along a side.

    Random numbers on a square lattice are interpolated by quadratic B-splines; every further
    octave has twice the cells and half the amplitude.
    """
    total = _lattice_noise(canvas.size, stream.child(cells), cells)
    amplitude = 1.0
    for _ in range(octaves - 1):
        cells, amplitude = cells * 2, amplitude * 0.5
        total += amplitude * _lattice_noise(canvas.size, stream.child(cells), cells)
    return total


def _lattice_noise(size: int, stream: Stream, cells: int) -> Plane:
    side = cells + 2
    numbers = (stream.uniform(side * side) * (2.0 * _NOISE_GAIN) - _NOISE_GAIN).astype(np.float32)
    lattice = numbers.reshape(side, side)
    first, weights = _spline(size, cells)
    # Columns first: the picture is then filled by copies of whole rows.
    wide = functools.reduce(np.add, (weights[k] * lattice[:, first + k] for k in range(3)))
    planes = (weights[k][:, None] * wide[first + k] for k in range(3))
    total: Plane = functools.reduce(np.add, planes)
    return total


def ripples(canvas: Canvas, stream: Stream, cells: int) -> Plane:
    """Return a row (1, W) of smooth noise as `clouds` has, of `cells` cells along it."""
    spread = 2.0 * _RIPPLE_GAIN
    points = (stream.child(cells).uniform(cells + 2) * spread - _RIPPLE_GAIN).astype(np.float32)
    first, weights = _spline(canvas.size, cells)
    row = weights[0] * points[first]
    row = row + weights[1] * points[first + 1] + weights[2] * points[first + 2]
    whole: Plane = row[None, :]
    return whole


@functools.lru_cache(maxsize=256)
def _spline(size: int, cells: int) -> tuple[NDArray[np.int64], Plane]:
    """Return for each pixel of a side its first lattice point and three B-spline weights."""
    scaled = (2 * np.arange(size) + 1) * cells
    first, rest = scaled // (2 * size), scaled % (2 * size)
    f = rest / np.float64(2 * size)
    weights = np.stack([0.5 * (1.0 - f) * (1.0 - f), 0.5 + f * (1.0 - f), 0.5 * f * f])
    return first, weights.astype(np.float32)


def grain(stream: Stream, shape: tuple[int, ...]) -> Plane:
    """Return independent noise of mean 0 and unit variance, about normal, within ±3.5.

    Each value is a sum of four random bytes; one 64-bit word gives two of them.
    """
    count = math.prod(shape)
    words = stream.words((count + 1) // 2)
    pairs = (words & np.uint64(0x00FF00FF00FF00FF)) + (
        (words >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    )
    sums = (pairs & np.uint64(0x0000FFFF0000FFFF)) + (
        (pairs >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    )
    # Little-endian, so that the lower half of a word comes first on every machine.
    halves = sums.astype("<u8", copy=False).view("<u4")[:count].astype(np.float32)
    halves -= np.float32(510.0)
    halves *= np.float32(_GRAIN_GAIN)
    return halves.reshape(shape)
