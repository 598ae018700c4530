"""Checks of what a caller hands over: images, severities and other whole numbers."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.corrupt.kernels.kernel import Shape
from stages.vocabulary import SEVERITIES


def whole_number(what: str, value: object) -> int:
    """Return the whole number `value`, of any library's type.

    Raises
    ------
    UsageError
        If it is none, saying `what` must be.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        message = f"{what} must be a whole number, not {value!r}"
        raise UsageError(message)
    return operator.index(value)


def check_severity(severity: object) -> int:
    """Return the severity.

    Raises
    ------
    UsageError
        If it is not a whole number from 0 to 5.
    """
    number = whole_number("severity", severity)
    if not 0 <= number <= SEVERITIES[-1]:
        message = f"severity must be 0 to {SEVERITIES[-1]} (0 is the identity), not {number}"
        raise UsageError(message)
    return number


def check_image(image: object) -> None:
    """Refuse what is not a uint8 image of 1 or 3 channels.

    Raises
    ------
    DataError
        Saying what it is, and the conversion where there is one.
    """
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


def check_size(shape: Shape, smallest: int, corruption: str) -> None:
    """Refuse an image of a `shape` below the `smallest` side that the corruption works for.

    Raises
    ------
    DataError
        Saying which size is needed.
    """
    height, width, _ = shape
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
