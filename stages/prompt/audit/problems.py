"""What an audit can find, and how two words of an attribute are compared."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.prompt.attributes import KEYS

KINDS = {
    "disagreement": "an attribute is not what the mask gives by the same rules",
    "contradiction": "a prompt contradicts another prompt or the box of its own record",
    "no-object": "nothing is said to be there over a mask that is not empty, or the reverse",
    "malformed": "a gap in the text where a word was deleted, or words in no known order",
    "duplicate": "the same sample twice in the file",
    "cross-split": "the same sample in both files",
    "copied-text": "the text of another dataset's sample of the same name",
    "differs": "an attribute is not what the other file says of the same sample",
    "without-partner": "a sample that the other file lacks",
    "missing-image": "no image file of this name",
    "missing-mask": "no mask file of this name",
    "unreadable": "the image or the mask cannot be read",
    "other-size": "the mask is not of the image's size",
    "duplicate-candidate": "images of the file that look alike: to be confirmed by eye",
    "cross-split-candidate": "images of both files that look alike: to be confirmed by eye",
}
"""Every kind of problem, and what it means."""

CANDIDATES = frozenset({"duplicate-candidate", "cross-split-candidate"})
"""Kinds that are no proof of anything."""

BOX = "bbox"
_ORDER = ("number", "size", "location", BOX, *KEYS)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one sample."""

    kind: str
    sample: str
    attribute: str = ""
    """Empty where it is not about one attribute."""
    published: str = ""
    """What the file says."""
    measured: str = ""
    """What it was compared with: the mask, another prompt of the record, or the other file."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often an attribute was stated, compared and right."""

    attribute: str
    stated: int
    """Rows that state it."""
    compared: int
    agreeing: int

    @property
    def disagreeing(self) -> int:
        """Comparisons that found a difference."""
        return self.compared - self.agreeing


def tallies(stated: Mapping[str, int], agreed: Mapping[str, Iterable[bool]]) -> tuple[Tally, ...]:
    """Return a tally of every attribute that was stated or compared, number and size first."""
    names = [name for name in dict.fromkeys(_ORDER) if name in stated or name in agreed]
    results = {name: list(agreed.get(name, ())) for name in names}
    return tuple(
        Tally(name, stated.get(name, 0), len(results[name]), sum(results[name])) for name in names
    )


def same(attribute: str, one: str, other: str) -> bool:
    """Return whether two words of an attribute say the same; case and white space do not count."""
    if attribute == "number" and counted(one) is not None:
        return counted(one) == counted(other)
    return folded(one) == folded(other)


def folded(text: str) -> str:
    """Return a text without differences of case and white space."""
    return " ".join(text.casefold().split())


def counted(word: str) -> int | None:
    """Return the number that a word such as "two" stands for, None if it stands for none."""
    text = folded(word)
    return int(text) if text.isdecimal() else _numbers().get(text)


@functools.cache
def _numbers() -> dict[str, int]:
    from num2words import num2words

    return {num2words(number): number for number in range(1, 1001)}
