"""Words for the regions of a target, steered by the numbers that a rule set declares."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stages.prompt.record import EMPTY
from stages.prompt.wording.location import location_words
from stages.prompt.wording.shapes import shape_word
from stages.prompt.wording.sizes import size_word
from stages.prompt.wording.told import absent, attributes_of, number_word, told_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.prompt.attributes import Attributes, Origin
    from stages.prompt.record import Record, Region
    from stages.prompt.schema import RuleSet
    from stages.prompt.wording.context import Context

BRIGHTER, DARKER = "brighter", "darker"
VARIOUS = "variously shaped"


def word(rules: RuleSet, record: Record, context: Context) -> Attributes:
    """Return the attributes of a target, all of the same regions: `kept_regions`.

    The number counts them. The size is the word of each one's share of the image; where these
    differ, the smallest and the largest ("small to medium"). The shape is the word that all have,
    "mostly ..." the one that more than half have, or `VARIOUS`; regions below `rules.shape_from`
    pixels have none, and where they leave no majority there is no word. The colour is that of the
    whole target in an RGB image; in a gray one it is brighter or darker than its surroundings, or
    has no word. Answers about shape and colour come before what is measured.
    """
    if record.status == EMPTY:
        return absent(rules, context)
    regions = kept_regions(rules, record)
    measured = {
        "number": _number(rules, len(regions)),
        "size": _size(rules, record, regions),
        "location": location_words(rules, record, regions, context.frame),
        "shape": _shape(rules, regions),
        "colour": _colour(rules, record),
    }
    words: dict[str, tuple[str, Origin]] = {k: (v, "measured") for k, v in measured.items()}
    words |= {name: told for name, told in told_words(context).items() if told[0]}
    return attributes_of(words, len(regions), rules, context)


def kept_regions(rules: RuleSet, record: Record) -> tuple[Region, ...]:
    """Return the regions that number, size, location and shape are about.

    Those below `rules.minimum_area` of the image are left out. Instances stay all, for somebody
    has numbered them; and where every region is that small the largest stays, or all that are as
    large, for a mask with foreground is never worded as one without.
    """
    if record.instances:
        return record.regions
    pixels = record.height * record.width
    largest = max(region.area for region in record.regions)
    # A quotient is exact where a region has the very share; a product of the share may not be.
    least = min(rules.minimum_area, largest / pixels)
    return tuple(region for region in record.regions if region.area / pixels >= least)


def _number(rules: RuleSet, count: int) -> str:
    if rules.number_words == "single-or-multiple":
        return "single" if count == 1 else "multiple"
    return number_word(count)


def _size(rules: RuleSet, record: Record, regions: Sequence[Region]) -> str:
    pixels = record.height * record.width
    areas = [region.area for region in regions]
    smallest, largest = (size_word(rules.sizes, area / pixels) for area in (min(areas), max(areas)))
    return smallest if smallest == largest else f"{smallest} to {largest}"


def _shape(rules: RuleSet, regions: Sequence[Region]) -> str:
    words = [shape_word(rules.shapes, one) for one in regions if one.area >= rules.shape_from]
    if not words:
        return ""
    common, times = Counter(words).most_common(1)[0]
    if times == len(regions):
        return common
    if 2 * times > len(regions):
        return f"mostly {common}"
    return VARIOUS if len(words) == len(regions) else ""


def _colour(rules: RuleSet, record: Record) -> str:
    whole = record.whole
    if whole is None:
        return ""
    if whole.colour is not None and rules.colour_words == "named":
        return whole.colour
    if whole.contrast is None or abs(whole.contrast) < rules.contrast_from:
        return ""
    return BRIGHTER if whole.contrast > 0 else DARKER
