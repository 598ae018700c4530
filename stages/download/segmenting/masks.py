"""Mask files as numbers, and what is unclean about them before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.readers.pictures import drops_bits, opened

if TYPE_CHECKING:
    from PIL import Image

COLOURED = 32
"""Largest difference of a pixel's channels, levels, that is the noise of a gray JPEG."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskFile:
    """The content of a mask file."""

    values: NDArray[Any]
    """What the file says of each pixel: uint8 gray or palette index, int64 of files with more than
    8 bits, shape (H, W)."""
    gray: NDArray[np.uint8] | None
    """8-bit gray as Pillow's `convert("L")` gives it, (H, W); None of files with more bits."""
    colours: NDArray[np.uint8] | None
    """Red, green and blue, (H, W, 3), of files that have them."""
    lossy: bool
    """Whether it is a JPEG."""
    findings: tuple[str, ...]
    """`alpha`: has a transparency channel, which is dropped. `palette`: pixels are numbers of
    colours. `colour`: the channels differ by more than the noise of a gray JPEG."""

    uneven: bool = False
    """Whether it is no palette file and its channels differ anywhere."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, pixels."""
        height, width = self.values.shape
        return height, width


def read_mask(path: Path) -> MaskFile:
    """Return the content of a mask file: PNG, JPEG, TIFF, BMP or GIF of 1 to 32 bits.

    Transparency never means foreground: an opaque channel is dropped, and so is one whose
    transparent pixels are black anyway. Orientation tags (EXIF) are not applied.

    Raises
    ------
    DataError
        When it cannot be decoded, has several pages, colours of 16 bits, values with a fraction or
        another colour space; or is transparent in a way that would change the mask: a single
        colour that only the transparency shapes, or transparent pixels that are not black.
    """
    if path.suffix.lower() in {".tif", ".tiff"} and (values := _unknown_to_pillow(path)):
        return MaskFile(values[0], None, None, lossy=False, findings=())
    with opened(path) as picture:
        lossy = picture.format in {"JPEG", "MPO"}
        if picture.mode.startswith(("I", "F")):
            return MaskFile(_whole_numbers(path, np.array(picture)), None, None, lossy, ())
        if drops_bits(picture):
            message = f"{path}: has colours of 16 bits; save it with 8"
            raise DataError(message)
        if picture.mode not in {"1", "L", "P", "RGB", "RGBA", "LA", "PA"}:
            message = f"{path}: colour space {picture.mode}; save it as gray or RGB"
            raise DataError(message)
        findings = ["alpha"] if _drops_alpha(path, picture) else []
        if picture.mode in {"P", "PA"}:
            findings.append("palette")
        return _eight_bit(picture, findings, lossy=lossy)


def _eight_bit(picture: Image.Image, findings: list[str], *, lossy: bool) -> MaskFile:
    if picture.mode in {"1", "L", "LA"}:
        gray = np.array(picture.convert("L"))
        return MaskFile(gray, gray, None, lossy, tuple(findings))
    rgb = picture.convert("RGB")
    gray, colours = np.array(rgb.convert("L")), np.array(rgb)
    difference = int(np.ptp(colours, axis=2).max(initial=0))
    if difference > COLOURED:
        findings.append("colour")
    if "palette" in findings:
        numbers = np.array(picture)
        values = numbers[..., 0] if numbers.ndim == 3 else numbers
        return MaskFile(values, gray, colours, lossy, tuple(findings))
    return MaskFile(gray, gray, colours, lossy, tuple(findings), uneven=difference > 0)


def _unknown_to_pillow(path: Path) -> tuple[NDArray[np.int64]] | None:
    """Return the values of a gray TIFF of a type that Pillow does not read or reads wrongly."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if len(file.pages) > 1 or page.dtype is None or len(page.shape) != 2:
                return None
            if page.dtype.name not in {"int8", "int16", "uint32", "int64", "uint64", "float64"}:
                return None
            return (_whole_numbers(path, page.asarray()),)
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError):
        return None  # Pillow says what is wrong with it


def _whole_numbers(path: Path, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return int64 values; a float file may hold whole numbers."""
    whole: NDArray[np.int64] = values.astype(np.int64)
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (whole == values).all()):
        message = f"{path}: its values have fractions; a mask holds whole numbers"
        raise DataError(message)
    return whole


def _drops_alpha(path: Path, picture: Image.Image) -> bool:
    """Return whether there is transparency to drop, after making sure that it says nothing."""
    if picture.mode not in {"RGBA", "LA", "PA"} and "transparency" not in picture.info:
        return False
    pixels = np.array(picture.convert("RGBA"))
    colours, alpha = pixels[..., :3], pixels[..., 3]
    if alpha.min(initial=255) == alpha.max(initial=0):
        return True
    if (colours == colours[:1, :1]).all():
        message = (
            f"{path}: only its transparency varies; save the mask as white on black, without "
            "transparency"
        )
        raise DataError(message)
    if colours[alpha < 255].any():
        message = f"{path}: has transparent pixels that are not black; save it without transparency"
        raise DataError(message)
    return True
