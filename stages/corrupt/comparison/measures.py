"""What is measured of one corrupted image beside its clean one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.kernel import Image

Numbers = NDArray[np.float64]

LEVELS = 4
"""Bands of clean grey levels: 0-63, 64-127, 128-191, 192-255."""
RINGS = 8
"""Rings of spatial frequency, equally wide from 0 to the highest along an axis."""
MEASURES: dict[str, float] = {
    **{f"mean of the residual, clean level {64 * b}-{64 * b + 63}": 0.05 for b in range(LEVELS)},
    **{
        f"deviation of the residual, clean level {64 * b}-{64 * b + 63}": 0.1 for b in range(LEVELS)
    },
    "share of values changed": 0.002,
    "correlation of the residual between channels": 0.005,
    "share of values at 0": 0.001,
    "share of values at 255": 0.001,
    **{f"power beside clean, ring {ring + 1} of {RINGS}": 0.01 for ring in range(RINGS)},
    "power beside clean, along rows": 0.01,
    "power beside clean, along columns": 0.01,
    "signature of a JPEG grid": 0.005,
}
"""Name of each measure and the smallest difference that counts, in its unit.

Residuals (corrupted - clean) are in grey levels, power is a decimal logarithm of a ratio.
"""
JPEG_GRID = list(MEASURES).index("signature of a JPEG grid")
_FEWEST = 64
"""Values in a band below which it is not measured."""
_ROUNDING_POWER = 1.0 / 12.0
"""Power of rounding to whole grey levels, below which no spectrum is compared."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Clean:
    """A clean image and what every comparison with it needs."""

    pixels: NDArray[np.int16]
    bands: NDArray[np.int64]
    """Band of clean grey level of each value, flat."""
    sizes: NDArray[np.int64]
    power: Numbers
    """Power by ring of frequency, then along rows and along columns."""

    @classmethod
    def of(cls, image: Image) -> Clean:
        """Return the view of a clean image (H, W, C)."""
        bands = (image.ravel() >> np.uint8(6)).astype(np.int64)
        sizes = np.bincount(bands, minlength=LEVELS)
        return cls(image.astype(np.int16), bands, sizes, _power(image))


def measure(image: Image, clean: Clean) -> Numbers:
    """Return the `MEASURES` of a corrupted image; NaN for a band with hardly any values.

    Parameters
    ----------
    image : (H, W, C) uint8
        With the shape of the clean image.
    """
    residual = image.astype(np.int16) - clean.pixels
    flat = residual.ravel().astype(np.float64)
    sizes = np.where(clean.sizes >= _FEWEST, clean.sizes, np.nan)
    means = np.bincount(clean.bands, flat, LEVELS) / sizes
    squares = np.bincount(clean.bands, flat * flat, LEVELS) / sizes
    deviations = np.sqrt(np.maximum(0.0, squares - means * means))
    shares = [
        np.count_nonzero(residual) / flat.size,
        _channel_correlation(residual),
        np.count_nonzero(image == 0) / flat.size,
        np.count_nonzero(image == 255) / flat.size,
    ]
    power = np.log10((_power(image) + _ROUNDING_POWER) / (clean.power + _ROUNDING_POWER))
    return np.concatenate([means, deviations, shares, power, [_jpeg_grid(image)]])


def pixel_differences(image: Image, other: Image) -> Numbers:
    """Return the mean and the largest absolute difference, and the share of values within 1."""
    apart = np.abs(image.astype(np.int16) - other)
    return np.array([apart.mean(), apart.max(), np.count_nonzero(apart <= 1) / apart.size])


def _channel_correlation(residual: NDArray[np.int16]) -> float:
    """Return the mean correlation of the residual between channels: 1 for gray noise.

    1 also for one channel, and where nothing varies; 0 where only some channels vary.
    """
    channels = residual.shape[2]
    if channels == 1:
        return 1.0
    values = residual.reshape(-1, channels).T.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    products = (values @ values.T).astype(np.float64)
    lengths = np.sqrt(np.diagonal(products))
    if not lengths.any():
        return 1.0
    outer = np.outer(lengths, lengths)
    correlations = np.divide(products, outer, out=np.zeros_like(outer), where=outer > 0)
    return float(correlations[np.triu_indices(channels, 1)].mean())


def _luma(image: Image) -> NDArray[np.float32]:
    if image.shape[2] == 1:
        return image[:, :, 0].astype(np.float32)
    luma: NDArray[np.float32] = image.astype(np.float32) @ _LUMA
    return luma


def _power(image: Image) -> Numbers:
    """Return the mean power of the luma's DCT-II (orthonormal) in rings and in two wedges."""
    from scipy.fft import dctn

    spectrum = dctn(_luma(image), norm="ortho").ravel()
    ring, wedge = _frequencies(image.shape[0], image.shape[1])
    power = (spectrum * spectrum).astype(np.float64)
    sums = [
        np.bincount(where, power, count + 1) / np.maximum(1, np.bincount(where, None, count + 1))
        for where, count in ((ring, RINGS), (wedge, 2))
    ]
    return np.concatenate([sums[0][:RINGS], sums[1][:2]])


@lru_cache(maxsize=8)
def _frequencies(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ring and wedge of each coefficient; the number of them for none."""
    rows = np.arange(height)[:, np.newaxis] / height
    columns = np.arange(width)[np.newaxis, :] / width
    radius = np.hypot(rows, columns)
    ring = np.minimum((radius * RINGS).astype(np.int64), RINGS)
    ring[0, 0] = RINGS
    wedge = np.where(columns > 2 * rows, 0, np.where(rows > 2 * columns, 1, 2))
    wedge[(radius < 0.05) | (radius > 0.6)] = 2
    return ring.ravel(), wedge.ravel()


def _jpeg_grid(image: Image) -> float:
    """Return how many more coefficients vanish on the grid of 8 x 8 blocks than beside it.

    Quantisation leaves many coefficients of the blocks at nothing but rounding error; blocks cut
    4 pixels off the grid have no such excess (after Fan and de Queiroz, 2003).
    """
    luma = _luma(image)
    return _vanishing(luma) - _vanishing(luma[4:, 4:])


def _vanishing(luma: NDArray[np.float32]) -> float:
    from scipy.fft import dctn

    height, width = (side // 8 for side in luma.shape)
    blocks = luma[: height * 8, : width * 8].reshape(height, 8, width, 8)
    coefficients = dctn(blocks, axes=(1, 3), norm="ortho")
    return float(np.count_nonzero(np.abs(coefficients) < 1.0) / coefficients.size)
