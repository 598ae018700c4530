"""Corrupt stage: images under exactly reproducible corruptions.

Nothing heavy is imported here; numba is loaded by the first corruption rendered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from stages.corrupt.schema import SuiteManifest

__all__ = ["corrupt", "corrupt_batch"]


def corrupt(
    image: NDArray[np.uint8],
    corruption: str,
    severity: int,
    *,
    suite: str | SuiteManifest = "medimeta-c",
    seed: int = 0,
    sample: str | int | None = None,
) -> NDArray[np.uint8]:
    """Return a corrupted copy of `image`; the same arguments always give the same bytes.

    Parameters
    ----------
    image : (H, W), (H, W, 1) or (H, W, 3) uint8
        Never written to. Sides of at least 28 pixels.
    corruption : str
        A corruption of `suite`, such as ``"motion_blur"``.
    severity : int
        1 (weak) to 5 (strong); 0 is the identity.
    suite : str or SuiteManifest
        Name of a shipped suite, with the dataset where it has a list for each
        (``"medmnist-c/bloodmnist"``), or a suite of your own read by
        `pipeline.manifest.read_manifest`.
    seed : int
        Another seed gives other random numbers.
    sample : str or int, optional
        Identity of the image, which keys its random numbers. None takes the pixels themselves,
        so that a loop over different images never repeats one noise field.

    Returns
    -------
    corrupted : uint8
        Shape of `image`; (H, W, 3) for a gray image if the suite replicates gray.

    Raises
    ------
    UsageError
        For an unknown suite or corruption (the nearest name is suggested) or a bad severity.
    DataError
        For an image of another dtype, shape or number of channels, or one that is too small.
    """
    from stages.corrupt import rendering

    return rendering.corrupt(image, corruption, severity, suite=suite, seed=seed, sample=sample)


def corrupt_batch(
    images: NDArray[np.uint8],
    corruption: str,
    severity: int,
    *,
    suite: str | SuiteManifest = "medimeta-c",
    seed: int = 0,
    samples: Sequence[str | int] | None = None,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Return corrupted copies of `images`: what `corrupt` gives for each of them alone.

    Parameters
    ----------
    images : (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8
        Never written to.
    corruption, severity, suite, seed
        As for `corrupt`.
    samples : sequence of N str or int, optional
        Identity of each image; None takes the pixels themselves.
    threads : int
        Images rendered at the same time; changes nothing in the result.

    Returns
    -------
    corrupted : uint8
        Shape of `images`; (N, H, W, 3) for gray images if the suite replicates gray.

    Raises
    ------
    UsageError, DataError
        As for `corrupt`; and for another number of samples than images.
    """
    from stages.corrupt import batch

    return batch.corrupt_batch(
        images,
        corruption,
        severity,
        suite=suite,
        seed=seed,
        samples=samples,
        threads=threads,
    )
