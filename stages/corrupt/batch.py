"""Many images at once, on several threads: kernels release the interpreter while they render."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.corrupt.checking import check_image
from stages.corrupt.rendering import (
    checked_request,
    render_rows,
    rendered_shape,
    sample_name,
    sample_stream,
)
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

    check_image(images[0])
    manifest, declared, severity, seed = checked_request(
        images[0].shape, corruption, severity, suite, seed
    )
    channelled = images[..., np.newaxis] if images.ndim == 3 else images
    given = [None] * len(images) if samples is None else samples
    result = np.empty((len(images), *rendered_shape(channelled.shape[1:], manifest)), np.uint8)

    def fill(rows: slice) -> None:
        streams = [
            sample_stream(seed, None, sample_name(image, sample), corruption, severity)
            for image, sample in zip(images[rows], given[rows], strict=True)
        ]
        render_rows(channelled[rows], declared, severity, manifest, streams, result[rows])

    if threads == 1:
        fill(slice(None))
    else:
        # Several ranges per thread, so that none waits long for the last, but none too short.
        ranges = min(len(images), threads * max(1, min(4, len(images) // (16 * threads))))
        bounds = [len(images) * k // ranges for k in range(ranges + 1)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, map(slice, bounds, bounds[1:])))
    return result[..., 0] if images.ndim == 3 and result.shape[3] == 1 else result
