"""Render one image of one set, and the public function for other people's loops."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import blake3
import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Shipped
from pipeline.digest import canonical_json
from pipeline.stream import Stream
from stages.corrupt.applying import applied
from stages.corrupt.checking import check_image, check_severity, check_size, whole_number
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.kernel import Image, Images, Kernel, Shape
from stages.corrupt.kernels.luminance import luminance
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest

SUITES = Shipped("corruptions", SuiteManifest, "suite")


def sample_stream(
    seed: int, dataset: str | None, sample: str | int, corruption: str, severity: int
) -> Stream:
    """Return the random stream of one rendered image: the same wherever it is rendered.

    `dataset` is None for an image that belongs to none (`stages.corrupt.corrupt`).
    """
    return Stream.of("corrupt", seed, dataset, sample, corruption, severity)


def render(
    image: Image,
    corruption: CorruptionDeclaration,
    severity: int,
    suite: SuiteManifest,
    stream: Stream,
    kernel: Kernel[Any] | None = None,
) -> tuple[Image, dict[str, int | float | str]]:
    """Return `image` under `corruption`, and the numbers that were drawn for it.

    Parameters
    ----------
    image : (H, W, C) uint8, C = 1 or 3
        Never written to.
    severity : int
        0 (the identity, after the gray policy) to 5.
    suite : SuiteManifest
        Decides how a gray image enters the corruption.
    kernel : Kernel, optional
        That of a backend (`backends.kernel_of`); None for our own.

    Returns
    -------
    rendered : (H, W, C') uint8
        C' is 3 for a gray image of a suite that replicates, else C. A new array.
    parameters : dict
        Plain numbers; with `image` they determine `rendered`. Empty at severity 0.

    Raises
    ------
    UsageError
        If `severity` is not in 0 to 5.
    DataError
        If `image` is not as above or smaller than the kernel works for.
    """
    check_image(image)
    rendered = np.empty((1, *rendered_shape(_shape(image), suite)), np.uint8)
    drawn = render_rows(image[np.newaxis], corruption, severity, suite, [stream], rendered, kernel)
    return rendered[0], drawn[0]


def render_rows(
    images: Images,
    corruption: CorruptionDeclaration,
    severity: int,
    suite: SuiteManifest,
    streams: Sequence[Stream],
    out: Images,
    kernel: Kernel[Any] | None = None,
) -> list[dict[str, int | float | str]]:
    """Write each of `images` under `corruption` to its place in `out`; return what was drawn.

    Parameters and errors as for `render`: `images` is (N, H, W, C) and has a stream for each
    image, `out` is (N, *`rendered_shape`).
    """
    kernel = kernel or KERNELS[corruption.kernel]
    check_severity(severity)
    shape = _shape(images[0])
    check_size(shape, kernel.smallest_side, corruption.name)
    if severity == 0:
        out[:] = images
        return [{} for _ in streams]
    values = corruption.severities[severity - 1]
    entering = shape if suite.gray == "stay" else (*shape[:2], 3)
    drawn = [kernel.draw(stream, values, entering) for stream in streams]
    step = min(len(images), max(1, kernel.bytes_at_once // int(np.prod(entering))))
    # Kernels write contiguous memory, which the items of a shard are not.
    direct = out.flags.c_contiguous and out.shape[1:] == entering
    corrupted = out if direct else scratch.levels((step, *entering))
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        chunk = images[rows]
        if entering != shape:
            chunk = np.repeat(chunk, 3, axis=3)
        target = corrupted[rows] if direct else corrupted[: len(chunk)]
        kernel.apply(np.ascontiguousarray(chunk), drawn[rows], target)
        if not direct:
            out[rows] = target if out.shape[1:] == entering else luminance(target)
    return drawn


def rendered_shape(shape: Shape, suite: SuiteManifest) -> Shape:
    """Return the shape (H, W, C) of an image of `shape` under any corruption of `suite`."""
    height, width, channels = shape
    return height, width, suite.channels_of(channels)


def corrupt(
    image: NDArray[np.uint8],
    corruption: str,
    severity: int,
    *,
    suite: str | SuiteManifest,
    seed: int,
    sample: str | int | None,
) -> NDArray[np.uint8]:
    """Return `image` under one corruption: see `stages.corrupt.corrupt`."""
    check_image(image)
    manifest, declared, severity, seed = checked_request(
        image.shape, corruption, severity, suite, seed
    )
    channelled = image[:, :, np.newaxis] if image.ndim == 2 else image
    stream = sample_stream(seed, None, sample_name(image, sample), corruption, severity)
    rendered, _ = render(channelled, declared, severity, manifest, stream)
    return rendered[:, :, 0] if image.ndim == 2 and rendered.shape[2] == 1 else rendered


def checked_request(
    shape: tuple[int, ...], corruption: str, severity: int, suite: str | SuiteManifest, seed: int
) -> tuple[SuiteManifest, CorruptionDeclaration, int, int]:
    """Return the suite, its corruption, the severity and the seed that a caller asks for.

    The suite is that for images of `shape`, (H, W) or (H, W, C).

    Raises
    ------
    UsageError
        For an unknown name or a number that is not one.
    """
    manifest = _suite_for(suite, shape)
    declared = manifest.corruption(corruption)
    return manifest, declared, check_severity(severity), whole_number("seed", seed)


def sample_name(image: NDArray[np.uint8], sample: object) -> str | int:
    """Return the identity that keys an image's random numbers: `sample`, or of None the pixels."""
    if sample is None:
        return _pixel_identity(image)
    return sample if isinstance(sample, str) else whole_number("sample", sample)


def _suite_for(suite: str | SuiteManifest, shape: tuple[int, ...]) -> SuiteManifest:
    if isinstance(suite, SuiteManifest):
        return applied(suite, SUITES, dataset=None, height=shape[0], width=shape[1])
    return suite_for(suite, shape[0], shape[1])


@functools.lru_cache
def suite_for(name: str, height: int, width: int) -> SuiteManifest:
    """Return what a shipped suite, or ``<suite>/<dataset>``, is for images of a size.

    Raises
    ------
    UsageError
        If there is no such suite, or it has no corruptions for the dataset.
    """
    suite, _, dataset = name.partition("/")
    manifest = SUITES[suite]
    return applied(manifest, SUITES, dataset=dataset or None, height=height, width=width)


def _shape(image: Image) -> Shape:
    height, width, channels = image.shape
    return height, width, channels


def _pixel_identity(image: NDArray[np.uint8]) -> str:
    hasher = blake3.blake3(canonical_json([image.dtype.str, list(image.shape)]))
    return hasher.update(np.ascontiguousarray(image).data).hexdigest()
