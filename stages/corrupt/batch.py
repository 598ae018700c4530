"""Many images at once, on several threads: kernels release the interpreter while they render."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.corrupt.rendering import corrupt
from stages.corrupt.schema import SuiteManifest


def corrupt_batch(
    images: NDArray[np.uint8],
    corruption: str,
    severity: int,
    *,
    suite: str | SuiteManifest,
    seed: int,
    samples: Sequence[str | int] | None,
    threads: int,
) -> NDArray[np.uint8]:
    """Return `images` under one corruption: see `stages.corrupt.corrupt_batch`."""
    if np.ndim(images) not in (3, 4) or not len(images):
        message = "images must be an array of shape (N, H, W) or (N, H, W, C) with N of at least 1"
        raise DataError(message)
    if samples is not None and len(samples) != len(images):
        message = f"{len(samples)} samples for {len(images)} images"
        raise UsageError(message)
    if threads < 1:
        message = f"threads must be at least 1, not {threads}"
        raise UsageError(message)

    def rendered(row: int) -> NDArray[np.uint8]:
        sample = None if samples is None else samples[row]
        return corrupt(images[row], corruption, severity, suite=suite, seed=seed, sample=sample)

    first = rendered(0)
    result = np.empty((len(images), *first.shape), np.uint8)
    result[0] = first

    def fill(rows: range) -> None:
        for row in rows:
            result[row] = rendered(row)

    with ThreadPoolExecutor(threads) as pool:
        # One range per thread, so that a thread reuses its working memory from image to image.
        list(pool.map(fill, [range(1 + k, len(images), threads) for k in range(threads)]))
    return result
