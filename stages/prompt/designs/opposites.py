"""Wrong values of an attribute: the opposite where there is one, else another of its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.stream import Stream
    from stages.prompt.schema import RuleSet

_PAIRS = (
    ("single", "multiple"),
    ("round", "irregular"),
    ("brighter", "darker"),
    ("black", "white"),
    ("benign", "malignant"),
    ("frontal", "lateral"),
    ("two-chamber", "four-chamber"),
    ("diastole", "systole"),
    ("male", "female"),
)
OPPOSITES: Mapping[str, tuple[str, ...]] = {
    **{word: (other,) for pair in _PAIRS for word, other in (pair, pair[::-1])},
    "tiny": ("large",),
    "small": ("large",),
    "large": ("tiny", "small"),
}
"""Words with opposites, of which the first that the rule set knows is taken."""
_OF_RULES = ("number", "size", "shape")
"""Attributes whose words the rule set decides on: no other word is a value of them."""
_TURNED = {"left": "right", "top": "bottom", "upper": "lower"}
TURNED: Mapping[str, str] = {**_TURNED, **{other: word for word, other in _TURNED.items()}}
"""Parts of places by the part on the other side of the image."""
_ALIKE = (
    {"round", "circle", "circular"},
    {"oval", "elongated"},
    {"rectangular", "rectangle", "square"},
    {"triangular", "triangle"},
    {"irregular", "variously shaped"},
    {"brown", "tan"},
    {"red", "pink", "purple"},
    {"pink", "peach", "tan", "orange"},
    {"orange", "yellow", "gold"},
    {"white", "silver", "gray"},
)
"""Words that one and the same target may be called: none is wrong where another is right."""
_NUMBERS = ("one", "two", "three", "four", "five")
_FEW_NUMBERS = {"tganet": ("one", "multiple"), "single-or-multiple": ("single", "multiple")}
"""Numbers of algorithms, and of ways of telling them, that know no others."""
_COLOURS = (
    *("white", "gray", "black", "red", "pink", "orange", "yellow"),
    *("brown", "tan", "green", "blue", "purple"),
)
_PLACES = (
    *("top left", "top", "top right", "left", "center", "right"),
    *("bottom left", "bottom", "bottom right"),
)
_SEPARATORS = re.compile(r", | and | to ")


def opposite_of(rules: RuleSet, attribute: str, word: str, stream: Stream) -> str:
    """Return a value of `attribute` that is wrong where `word` is right; empty if none is known.

    The opposite in `OPPOSITES`; of places that on the other side of the image; else one of the
    attribute's other values in the rule set, chosen by `stream`. A value of several parts
    ("small to medium", "top left, top") is swapped as a whole for one that shares no part.
    """
    parts = set(_SEPARATORS.split(word))
    values = _VALUES[attribute](rules) if attribute in _VALUES else ()
    opposites = (_turned(word),) if attribute == "location" else OPPOSITES.get(word, ())
    for opposite in opposites:
        known = attribute not in _OF_RULES or opposite in values
        if known and not parts & set(_SEPARATORS.split(opposite)):
            return opposite
    others = [value for value in values if not _overlaps(value, parts)]
    return others[int(stream.below(len(others), 1)[0])] if others else ""


def _turned(words: str) -> str:
    return re.sub(r"\w+", lambda found: TURNED.get(found[0], found[0]), words)


def _overlaps(value: str, parts: set[str]) -> bool:
    """Tell whether `value` is one of `parts`, what one says after a "mostly", or may be alike."""
    alike = {value}.union(*(words for words in _ALIKE if value in words))
    return any(part == word or part.endswith(f" {word}") for part in parts for word in alike)


_VALUES: Mapping[str, Callable[[RuleSet], Sequence[str]]] = {
    "size": lambda rules: [size.word for size in rules.sizes],
    "shape": lambda rules: [shape.word for shape in rules.shapes],
    "location": lambda rules: list(dict.fromkeys(rules.places.values())) or _PLACES,
    "number": lambda rules: (
        _FEW_NUMBERS.get(rules.algorithm, _FEW_NUMBERS.get(rules.number_words)) or _NUMBERS
    ),
    "colour": lambda _rules: _COLOURS,
}
"""Words that a rule set has for an attribute."""
