"""Decoding image files to uint8 arrays, refusing whatever would change values unseen."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

if TYPE_CHECKING:
    from PIL import Image, ImageFile


def decode(path: Path, channels: int, shape: tuple[int, int], *, crop: bool) -> NDArray[np.uint8]:
    """Return the picture in `path` as uint8 (height, width, channels).

    Orientation tags (EXIF) are not applied. A picture of another size is cut to the largest
    central part of the wanted aspect ratio (the longer side to the nearest pixel, half a pixel up;
    the odd pixel goes to the right and bottom) and resized by Pillow's 8-bit bicubic
    filter, which is fixed-point arithmetic and gives the same bytes everywhere.

    Parameters
    ----------
    path
        PNG, JPEG or TIFF file.
    channels
        1 or 3. Gray is replicated to 3; colour becomes 1 only if its channels are equal.
    shape
        Height and width to return, pixels.
    crop
        Whether another size is cut and resized, or refused.

    Raises
    ------
    DataError
        When it cannot be decoded, has more than 8 bits, several pages, transparency, another
        colour space, or (without `crop`) another size.
    """
    with opened(path) as picture:
        fitted = _fitted(path, _eight_bits(path, picture), shape, crop=crop)
        return _with_channels(path, np.array(fitted, np.uint8), channels)


def decode_native(path: Path, *, stretch: bool = False) -> tuple[NDArray[np.uint8], bool]:
    """Return the picture in `path` in its own size, and whether its gray levels were stretched.

    Orientation tags (EXIF) are not applied.

    Parameters
    ----------
    stretch
        Whether gray of more than 8 bits is `stretched`, or refused.

    Returns
    -------
    pixels : (height, width, 1 or 3) uint8
    stretched : bool

    Raises
    ------
    DataError
        When it cannot be decoded, has more than 8 bits (see `stretch`; colour always), several
        pages, transparency, or another colour space.
    """
    with opened(path) as picture:
        if stretch and picture.mode.startswith(("I", "F")):
            return stretched(path, np.asarray(picture)), True
        pixels = np.array(_eight_bits(path, picture), np.uint8)
    return (pixels[..., None] if pixels.ndim == 2 else pixels), False


def stretched(path: Path, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 8-bit gray of whole numbers, (H, W, 1): the lowest becomes 0, the highest 255.

    Each value v becomes floor((510 (v - low) + d) / (2 d)) with d = high - low: the nearest gray
    level, halves up, in integer arithmetic. An image of one value becomes 0.

    Raises
    ------
    DataError
        When a value has a fraction.
    """
    whole = values.astype(np.int64)
    if not (whole == values).all():
        message = f"{path}: has values with fractions, or not finite"
        raise DataError(message)
    low = int(whole.min(initial=whole.flat[0] if whole.size else 0))
    span = int(whole.max(initial=low)) - low
    if span == 0:
        return np.zeros((*whole.shape, 1), np.uint8)
    scaled: NDArray[np.uint8] = ((510 * (whole - low) + span) // (2 * span)).astype(np.uint8)
    return scaled[..., None]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open a picture of one page; whatever decoding it raises inside becomes a `DataError`."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if (pages := getattr(picture, "n_frames", 1)) > 1:
                message = f"{path}: has {pages} pages; save each as a file of its own"
                raise DataError(message)
            yield picture
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        message = f"{path}: cannot be decoded: {error}"
        raise DataError(message) from error


def drops_bits(picture: ImageFile.ImageFile) -> bool:
    """Return whether its values have 16 bits: of colours Pillow drops the low eight."""
    # It opens them as mode RGB; only its raw mode tells.
    return any(";16" in str(tile) for tile in picture.tile)


def _eight_bits(path: Path, picture: ImageFile.ImageFile) -> Image.Image:
    """Return the picture as L or RGB."""
    if picture.mode.startswith(("I", "F")) or drops_bits(picture):
        message = (
            f"{path}: more than 8 bits per value (mode {picture.mode}); choose the window that "
            "matters and save 8 bits: (clip(a, low, high) - low) * 255 / (high - low), rounded"
        )
        raise DataError(message)
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        if clear.getchannel("A").getextrema() != (255, 255):
            message = f"{path}: has transparent pixels; save it without transparency"
            raise DataError(message)
        return clear.convert("RGB")
    if picture.mode in {"1", "P"}:
        return picture.convert("L" if picture.mode == "1" else "RGB")
    if picture.mode not in {"L", "RGB"}:
        message = f"{path}: colour space {picture.mode}; save it as gray or RGB"
        raise DataError(message)
    return picture


def _fitted(path: Path, picture: Image.Image, shape: tuple[int, int], *, crop: bool) -> Image.Image:
    from PIL import Image

    rows, columns = shape
    width, height = picture.size
    if (width, height) == (columns, rows):
        return picture
    if not crop:
        message = f"{path}: is {width}×{height} pixels, not {columns}×{rows} (width × height)"
        raise DataError(message)
    if width * rows > height * columns:
        cut_width, cut_height = max(1, (2 * height * columns + rows) // (2 * rows)), height
    else:
        cut_width, cut_height = width, max(1, (2 * width * rows + columns) // (2 * columns))
    left, top = (width - cut_width) // 2, (height - cut_height) // 2
    centre = picture.crop((left, top, left + cut_width, top + cut_height))
    return centre.resize((columns, rows), Image.Resampling.BICUBIC)


def _with_channels(path: Path, pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    if planes.shape[2] == channels:
        return planes
    if channels == 3:
        return np.repeat(planes, 3, axis=2)
    if not (planes == planes[..., :1]).all():
        message = f"{path}: is coloured, but the manifest declares 1 channel"
        raise DataError(message)
    return planes[..., :1]
