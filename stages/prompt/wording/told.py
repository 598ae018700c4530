"""Words that need no measuring: what the dataset, its manifest and answer files tell."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from stages.prompt.attributes import REPORT, Attributes, Origin
from stages.prompt.designs.english import plural_of

if TYPE_CHECKING:
    from stages.prompt.schema import RuleSet
    from stages.prompt.wording.context import Context

Words: TypeAlias = Mapping[str, tuple[str, Origin]]
"""Attribute to its word, and where that comes from; an empty word is none."""

ANSWERED = ("shape", "colour")
FROM_METADATA = ("view", "pathology", "cycle", "gender", "age", "quality", "tumor_type", REPORT)
NONE = "no"
"""The number of what is not there."""


def told_words(context: Context) -> dict[str, tuple[str, Origin]]:
    """Return the class, the answers about shape and colour, and the sample's metadata.

    An age in digits becomes words, as in "seventy-three-year-old".
    """
    words: dict[str, tuple[str, Origin]] = {"class": (context.noun, "declared")}
    for name in FROM_METADATA:
        word = context.metadata.get(name, "")
        if name == "age" and word.isdecimal():
            word = number_word(int(word))
        words[name] = (word, "metadata")
    for name in ANSWERED:
        words[name] = (context.answers.get(name, ""), "answers")
    return words


def attributes_of(words: Words, count: int, rules: RuleSet, context: Context) -> Attributes:
    """Return `words` as attributes, with the plural and the general descriptions of the class."""
    known = {name: told for name, told in words.items() if told[0]}
    return Attributes(
        {name: word for name, (word, _) in known.items()},
        {name: origin for name, (_, origin) in known.items()},
        count,
        context.descriptions or rules.descriptions.get(context.noun, ()),
        context.plural or plural_of(context.noun),
    )


def absent(rules: RuleSet, context: Context) -> Attributes:
    """Return the attributes of a target that is not in the image: number "no", count 0.

    Answers about shape and colour are left out: there is nothing that they could be about.
    """
    words = told_words(context)
    for name in ANSWERED:
        del words[name]
    return attributes_of(words | {"number": (NONE, "measured")}, 0, rules, context)


@functools.lru_cache(maxsize=4096)
def number_word(number: int) -> str:
    """Return a whole number in words (library `num2words`): "twenty-one"."""
    from num2words import num2words

    return str(num2words(number))
