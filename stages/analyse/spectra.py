"""Spectra of images by the two-dimensional discrete cosine transform (DCT-II, orthonormal).

The transform of the luminance, in grey levels 0 to 255, has one coefficient X[u, v] per pair of
frequencies u / (2 H) and v / (2 W) cycles per pixel. Its magnitude enters means as
log10(1 + |X|): the orthonormal transform leaves the rounding of pixels to whole grey levels at
about 0.3 per coefficient, so what the logarithm would blow up without the 1 carries no content,
and an even image has no spectrum of minus infinity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LUMA_WEIGHTS = (299, 587, 114)
"""Thousandths of red, green and blue in luminance (ITU-R BT.601)."""
BANDS = {"low": (0.0, 0.125), "middle": (0.125, 0.25), "high": (0.25, 1.0)}
"""Frequencies in cycles per pixel, above the first and up to the second; 0 is in none."""


@dataclass(frozen=True)
class Profile:
    """A spectrum as a function of frequency alone: one value per ring of equal frequency.

    Ring 0 is the single coefficient of frequency zero; ring k holds the coefficients whose
    frequency is nearest to k / (2 min(H, W)) cycles per pixel.
    """

    frequency: NDArray[np.float64]
    """Cycles per pixel at the middle of each ring."""
    coefficients: NDArray[np.int64]
    """Coefficients in each ring."""
    log_magnitude: NDArray[np.float64]
    """Mean of log10(1 + |X|) over images and the ring's coefficients."""
    energy_share: NDArray[np.float64]
    """Sum of X² over images and the ring, divided by that over all rings but 0; NaN for ring 0,
    and for all where every image is even."""

    def band(self, name: str) -> float:
        """Return the mean of log10(1 + |X|) over the coefficients of one of `BANDS`."""
        low, high = BANDS[name]
        inside = (self.frequency > low) & (self.frequency <= high)
        weights = self.coefficients[inside]
        return float((self.log_magnitude[inside] * weights).sum() / weights.sum())


class SpectrumSum:
    """Sums of log-magnitudes and energies over images of one shape."""

    def __init__(self) -> None:
        self.count = 0
        self._logs: NDArray[np.float64] | None = None
        self._energy: NDArray[np.float64] | None = None

    def add(self, images: Iterable[NDArray[np.uint8]]) -> None:
        """Add images, each (H, W, C) uint8 with C = 1 or 3.

        One after another in float64, so that the sums do not depend on how images are grouped.
        """
        from scipy.fft import dctn

        for image in images:
            coefficients = dctn(luminance(image), type=2, norm="ortho")
            magnitude = np.abs(coefficients)
            if self._logs is None or self._energy is None:
                self._logs, self._energy = np.zeros_like(magnitude), np.zeros_like(magnitude)
            self._logs += np.log10(1 + magnitude)
            self._energy += magnitude * magnitude
            self.count += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of log10(1 + |X|) over the images, (H, W) by vertical and horizontal frequency."""
        if self._logs is None:
            message = "no image was added"
            raise ValueError(message)
        return self._logs / self.count

    def profile(self) -> Profile:
        """Return the mean spectrum by frequency."""
        logs, energy = self.mean, self._energy
        ring, coefficients = _rings(logs.shape)
        height, width = logs.shape
        energies = np.bincount(ring.ravel(), None if energy is None else energy.ravel())
        total = energies[1:].sum()
        share = np.full(len(energies), np.nan)
        if total > 0:
            share[1:] = energies[1:] / total
        return Profile(
            np.arange(len(coefficients)) / (2 * min(height, width)),
            coefficients,
            np.bincount(ring.ravel(), logs.ravel()) / coefficients,
            share,
        )


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luminance of an image (H, W, C) in grey levels, (H, W).

    That of a gray image is the image, whether it has one channel or three equal ones.
    """
    if image.shape[2] == 1:
        return image[:, :, 0].astype(np.float64)
    red, green, blue = (image[:, :, channel].astype(np.float64) for channel in range(3))
    weights = LUMA_WEIGHTS
    return np.asarray((red * weights[0] + green * weights[1] + blue * weights[2]) / 1000)


def reduced(spectrum: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return a spectrum as means of square blocks, the smallest that fit into `side` cells.

    The blocks of the last row and column may be cut short.
    """
    block = block_side(spectrum.shape, side)
    starts = [np.arange(0, length, block) for length in spectrum.shape]
    sums = np.add.reduceat(np.add.reduceat(spectrum, starts[0], axis=0), starts[1], axis=1)
    lengths = [np.diff([*s, n]) for s, n in zip(starts, spectrum.shape, strict=True)]
    return np.asarray(sums / np.outer(*lengths))


def block_side(shape: tuple[int, ...], side: int) -> int:
    """Return the side of the blocks that `reduced` takes means of."""
    return -(-max(shape) // side)


@lru_cache(maxsize=8)
def _rings(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ring of each coefficient, (H, W), and how many coefficients each ring has."""
    height, width = shape
    smaller = min(shape)
    vertical = np.arange(height)[:, np.newaxis] * (smaller / height)
    horizontal = np.arange(width)[np.newaxis, :] * (smaller / width)
    ring = np.rint(np.sqrt(vertical**2 + horizontal**2)).astype(np.int64)
    return ring, np.bincount(ring.ravel())
