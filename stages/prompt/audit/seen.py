"""What was seen of a sample's files."""

from __future__ import annotations

from dataclasses import dataclass

from stages.prompt.record import Record


@dataclass(frozen=True, slots=True)
class Picture:
    """What tells an image from others."""

    digest: str
    """blake3 of the file."""
    look: int
    """Perceptual hash, 64 bits (`imagehash.phash`)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one row of a published file; None where it was not looked at or not found."""

    record: Record | None = None
    """Measured of the mask."""
    size: tuple[int, int] | None = None
    """Height and width of the image, pixels."""
    picture: Picture | None = None
    faults: tuple[tuple[str, str], ...] = ()
    """Kind of problem (`missing-mask`, ...) and what exactly."""
