"""Words for shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.prompt.record import Region
    from stages.prompt.schema import ShapeRule


def shape_word(shapes: Sequence[ShapeRule], region: Region) -> str:
    """Return the word of the first of `shapes` within whose bounds `region` lies.

    Bounds belong to the range. A circularity above 2, as regions of a few pixels have, counts as
    2. Where no rule fits the result is empty.
    """
    holes = 1 - region.euler
    circularity = min(region.circularity, 2.0)
    left, top, right, bottom = region.box
    extent = region.area / ((right - left) * (bottom - top))
    for rule in shapes:
        if (
            _within(region.eccentricity, rule.eccentricity)
            and _within(region.solidity, rule.solidity)
            and _within(circularity, rule.circularity)
            and _within(extent, rule.extent)
            and (rule.holes is None or _within(holes, rule.holes))
        ):
            return rule.word
    return ""


def _within(value: float, bounds: tuple[float, float]) -> bool:
    low, high = bounds
    return low <= value <= high
