"""Words for where a target is, by exact thirds of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stages.prompt.designs.english import listed
from stages.prompt.schema import PLACES

if TYPE_CHECKING:
    from stages.prompt.record import Record, Region
    from stages.prompt.schema import RuleSet, Spread

_MIRRORED = {"left": "right", "right": "left"}


def location_words(
    rules: RuleSet, record: Record, regions: Sequence[Region], frame: str = "image"
) -> str:
    """Return where `regions` are.

    "throughout" if one of them covers most of the image, or is thin and reaches most of it. Else,
    up to `rules.listed_up_to` regions: the grid cells of their centroids, each once, in reading
    order. More regions: "mostly <half, quarter or center>" if a majority of their centroids lie
    there; else the cells, if they are no more than `rules.listed_up_to`, or "throughout". A
    centroid on a line between two cells belongs to the one nearer to the middle, and one in the
    middle of the image to neither half, so that a mirrored image gets the mirrored words. In the
    frame of the patient the image's left is the patient's right.
    """
    pixels = record.height * record.width
    if any(_is_throughout(region, pixels, rules.spread) for region in regions):
        return "throughout"
    if len(regions) > rules.listed_up_to and (part := _majority(rules, record, regions)):
        return f"mostly {_framed(rules.places[part], frame)}"
    found = {cell_of(region, record.height, record.width) for region in regions}
    if len(found) > rules.listed_up_to:
        return "throughout"
    return listed([_framed(rules.places[PLACES[cell]], frame) for cell in sorted(found)])


def cell_of(region: Region, height: int, width: int) -> int:
    """Return the grid cell, 0 to 8 row by row, in which the centroid of a region lies."""
    x, y = region.centroid
    return 3 * _third(y, height) + _third(x, width)


def _third(position: float, length: int) -> int:
    """Return 0, 1 or 2; on a line between two thirds the middle one, 1."""
    if 3 * position < length:
        return 0
    return 2 if 3 * position > 2 * length else 1


def _is_throughout(region: Region, pixels: int, spread: Spread) -> bool:
    if region.area / pixels >= spread.area:
        return True
    reached = sum(cell >= spread.cell_share * region.area for cell in region.cells)
    return region.solidity < spread.solidity and reached >= spread.cells


def _majority(rules: RuleSet, record: Record, regions: Sequence[Region]) -> str:
    """Return the name of the part of the image that most of many regions are in, if any."""
    needed = rules.spread.majority * len(regions)
    middle = sum(
        cell_of(one, record.height, record.width) == PLACES.index("center") for one in regions
    )
    if middle >= needed:
        return "center"
    across = _half([one.centroid[0] for one in regions], record.width, needed, ("left", "right"))
    down = _half([one.centroid[1] for one in regions], record.height, needed, ("top", "bottom"))
    return "_".join(word for word in (down, across) if word)


def _half(positions: Sequence[float], length: int, needed: float, names: tuple[str, str]) -> str:
    if sum(2 * position < length for position in positions) >= needed:
        return names[0]
    return names[1] if sum(2 * position > length for position in positions) >= needed else ""


def _framed(words: str, frame: str, mirrored: Mapping[str, str] = _MIRRORED) -> str:
    """Return `words` as seen by the patient, where that is the frame."""
    parts = words.split(" ")
    if frame == "image" or not set(parts) & set(mirrored):
        return words
    return f"patient's {' '.join(mirrored.get(part, part) for part in parts)}"
