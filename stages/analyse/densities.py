"""Densities of grey levels: how often each of the 256 values occurs in each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = 256


def level_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels of images (N, H, W, C) have each grey level, (C, 256)."""
    channels = range(images.shape[-1])
    return np.stack([np.bincount(images[..., c].ravel(), minlength=LEVELS) for c in channels])


def density(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return counts (C, 256) as shares of each channel's pixels."""
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def pooled(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the density of all channels together, (256,)."""
    total = counts.sum(axis=0)
    return np.asarray(total / total.sum())


def mean_level(counts: NDArray[np.int64]) -> float:
    """Return the mean grey level over pixels and channels."""
    return float(pooled(counts) @ np.arange(LEVELS))


def distance(counts: NDArray[np.int64], clean: NDArray[np.int64]) -> float:
    """Return by how many grey levels a density lies from that of the clean images.

    The earth mover's distance: the sum of |F - G| over levels, F and G being the cumulative
    densities; the mean over channels. A clean split of one channel stands for all three.
    """
    apart = np.cumsum(density(counts), axis=1) - np.cumsum(density(clean), axis=1)
    return float(np.abs(apart).sum(axis=1).mean())
