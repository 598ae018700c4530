"""Render one image of one set, and the public function for other people's loops."""

from __future__ import annotations

import functools
import importlib.resources
import operator
from pathlib import Path
from typing import SupportsIndex

import blake3
import numpy as np
from numpy.typing import NDArray

from pipeline.digest import canonical_json
from pipeline.errors import DataError, UsageError
from pipeline.manifest import read_manifest, unknown_name
from pipeline.stream import Stream
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.schema import SEVERITIES, CorruptionDeclaration, SuiteManifest


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
) -> tuple[Image, dict[str, int | float]]:
    """Return `image` under `corruption`, and the numbers that were drawn for it.

    Parameters
    ----------
    image : (H, W, C) uint8, C = 1 or 3
        Never written to.
    severity : int
        0 (the identity, after the gray policy) to 5.
    suite : SuiteManifest
        Decides how a gray image enters the corruption.

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
    kernel = KERNELS[corruption.kernel]
    _check_severity(severity)
    _check_image(image)
    _check_size(image, kernel.smallest_side, corruption.name)
    if suite.gray == "replicate" and image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    if severity == 0:
        return image.copy(), {}
    image = np.ascontiguousarray(image)
    parameters = kernel.draw(stream, corruption.severities[severity - 1], _shape(image))
    return kernel.apply(image, parameters), parameters


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
    manifest = suite if isinstance(suite, SuiteManifest) else shipped_suite(suite)
    declared = manifest.corruption(corruption)
    severity = _check_severity(severity)
    seed = _whole_number("seed", seed)
    _check_image(image)
    if sample is None:
        sample = _pixel_identity(image)
    elif not isinstance(sample, str):
        sample = _whole_number("sample", sample)
    channelled = image[:, :, np.newaxis] if image.ndim == 2 else image
    stream = sample_stream(seed, None, sample, corruption, severity)
    rendered, _ = render(channelled, declared, severity, manifest, stream)
    return rendered[:, :, 0] if image.ndim == 2 and rendered.shape[2] == 1 else rendered


@functools.lru_cache
def shipped_suite(name: str) -> SuiteManifest:
    """Return the suite `name` of manifests/corruptions.

    Raises
    ------
    UsageError
        If none is shipped under this name; the nearest name is suggested.
    """
    folder = Path(str(importlib.resources.files("manifests"))) / "corruptions"
    shipped = {path.stem: path for path in folder.glob("*.toml")}
    if name not in shipped:
        raise unknown_name("suite", name, shipped)
    return read_manifest(shipped[name], SuiteManifest)


def _shape(image: Image) -> tuple[int, int, int]:
    height, width, channels = image.shape
    return height, width, channels


def _pixel_identity(image: NDArray[np.uint8]) -> str:
    hasher = blake3.blake3(canonical_json([image.dtype.str, list(image.shape)]))
    return hasher.update(np.ascontiguousarray(image).data).hexdigest()


def _whole_number(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        message = f"{what} must be a whole number, not {value!r}"
        raise UsageError(message)
    return operator.index(value)


def _check_severity(severity: object) -> int:
    number = _whole_number("severity", severity)
    if not 0 <= number <= SEVERITIES:
        message = f"severity must be 0 to {SEVERITIES} (0 is the identity), not {number}"
        raise UsageError(message)
    return number


def _check_image(image: object) -> None:
    if not isinstance(image, np.ndarray):
        message = f"image must be a NumPy array, not {type(image).__name__}"
        raise DataError(message)
    if image.dtype != np.uint8:
        message = f"image must be uint8, not {image.dtype}{_conversion(image)}"
        raise DataError(message)
    if image.ndim not in (2, 3):
        message = f"image must have shape (H, W), (H, W, 1) or (H, W, 3), not {image.shape}"
        raise DataError(message)
    if image.ndim == 3 and image.shape[2] not in (1, 3):
        message = f"image must have 1 or 3 channels last, but its shape is {image.shape}"
        raise DataError(message)


def _check_size(image: Image, smallest: int, corruption: str) -> None:
    height, width, _ = image.shape
    if min(height, width) < smallest:
        message = f"{corruption} needs at least {smallest}x{smallest} pixels, not {height}x{width}"
        raise DataError(message)


def _conversion(image: NDArray[np.generic]) -> str:
    """Return how to convert an image of another dtype, as the end of an error message."""
    if image.dtype == np.uint16:
        return (
            "; convert it first: (image // 257).astype(numpy.uint8) for the full 16-bit range,"
            " (image >> 4).astype(numpy.uint8) for 12 bits"
        )
    if image.dtype.kind == "f" and np.isnan(image).any():
        return ", and it contains NaN"
    if image.dtype.kind == "f":
        return "; convert it first: (image * 255).round().astype(numpy.uint8) for values in 0 to 1"
    return ""
