"""Prompts that contradict each other, or the box that was published with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stages.prompt.audit.problems import BOX, Problem, counted, folded
from stages.prompt.published.claims import REPORTS, says_both, says_none
from stages.prompt.published.rows import Box, PublishedFile, PublishedRow

_GAP = re.compile(r"\S {2,}\S|\bin +(of|,)|\bat the +in\b")
_ROWS = {"top": 0, "bottom": 2}
_COLUMNS = {"left": 0, "right": 2}
_SLACK = 2
"""Pixels by which a traced box may be off the mask."""


def contradictions(
    row: PublishedRow, sample: str, size: tuple[int, int] | None = None
) -> Iterator[Problem]:
    """Yield what a record says against itself; a report says nothing of a target.

    Parameters
    ----------
    row : PublishedRow
    sample : str
        Its name in problems.
    size : tuple of int, optional
        Height and width of the image in pixels, without which the place of a box means nothing.
    """
    if row.family == REPORTS:
        return
    texts = [(name, text) for name, variants in row.prompts.items() for text in variants if text]
    for name, text in texts:
        if says_both(text):
            problem = f"{name}: something is there, and all is normal"
            yield Problem("contradiction", sample, "class", text, problem)
        if _GAP.search(text):
            yield Problem("malformed", sample, "", text, f"{name}: a gap in the text")
    present = [one for one in texts if not says_none(one[1])]
    absent = [one for one in texts if says_none(one[1])]
    if present and absent:
        first, other = _named(*absent[0]), _named(*present[0])
        yield Problem("contradiction", sample, "class", first, other)
        return
    for dispute in row.stated.disputes:
        first, *rest = dispute.words
        yield Problem("contradiction", sample, dispute.attribute, first, "; ".join(rest))
    yield from _number_and_places(row, sample)
    yield from _box_and_text(row, sample, size)


def strange(file: PublishedFile, names: Sequence[str]) -> Iterator[Problem]:
    """Yield prompts that follow no published template, in a file of which most rows do."""
    odd = [(row, name) for row, name in zip(file.rows, names, strict=True) if row.stated.strange]
    if 2 * len(odd) >= len(file.rows):
        return
    for row, name in odd:
        for prompt in row.stated.strange:
            text = max(row.prompts[prompt], key=len)
            yield Problem("malformed", name, "", text, f"{prompt}: follows no published template")


def _number_and_places(row: PublishedRow, sample: str) -> Iterator[Problem]:
    """Yield a number that is not that of the places listed."""
    number = counted(row.attributes.get("number", ""))
    listed = [place for place in row.attributes.get("location", "").split(",") if place.strip()]
    if number is None or not listed or not all(_place(one) for one in listed):
        return
    if number != len(listed):
        places = f"{len(listed)} places: {row.attributes['location']}"
        yield Problem("contradiction", sample, "number", row.attributes["number"], places)


def _box_and_text(
    row: PublishedRow, sample: str, size: tuple[int, int] | None
) -> Iterator[Problem]:
    """Yield a box that is not where the text says, or is there when the text says nothing is."""
    if row.box is None or not any(any(texts) for texts in row.prompts.values()):
        return
    shown = ", ".join(map(str, row.box))
    bare = row.box[2] <= row.box[0] or row.box[3] <= row.box[1]
    if bare != row.empty:
        text = "the prompts say that nothing is there" if row.empty else "the box is empty"
        yield Problem("contradiction", sample, BOX, shown, text)
        return
    place = row.attributes.get("location", "")
    single = row.attributes.get("number", "")
    if bare or size is None or (single and counted(single) != 1) or not _place(place):
        return
    if not _may_lie(row.box, place, size):
        yield Problem("contradiction", sample, BOX, shown, f"located in {place}")


def _place(name: str) -> tuple[int, int] | None:
    """Return row and column of a grid name such as "top left", None for other words."""
    words = folded(name).split()
    if words == ["center"]:
        return 1, 1
    if not words or not set(words) <= {*_ROWS, *_COLUMNS} or len(words) > 2:
        return None
    row = next((_ROWS[word] for word in words if word in _ROWS), 1)
    column = next((_COLUMNS[word] for word in words if word in _COLUMNS), 1)
    return row, column


def _may_lie(box: Box, place: str, size: tuple[int, int]) -> bool:
    """Return whether one object in `box` may be said to lie at `place`, by the published rules.

    Their comparison of x with thirds of the height is one of the ways.
    """
    found = _place(place)
    if found is None:
        return True
    (x1, y1, x2, y2), (height, width), (row, column) = box, size, found
    if x2 > width + _SLACK or y2 > height + _SLACK:
        return False
    by_height = (x1 + x2) / 2
    quirk = 0 if by_height < height / 3 else 2 if by_height > 2 * height / 3 else 1
    across = quirk == column or _meets(x1, x2, column, width)
    return across and _meets(y1, y2, row, height)


def _meets(low: int, high: int, third: int, length: int) -> bool:
    """Return whether a span reaches into a third of the image."""
    begin, end = length * third / 3, length * (third + 1) / 3
    return low - _SLACK <= end and high + _SLACK >= begin


def _named(name: str, text: str) -> str:
    return f"{name}: {text}"
