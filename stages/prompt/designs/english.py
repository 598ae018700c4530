"""Plurals and articles of English nouns, by the library `inflect`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import inflect

_SINGULAR_ENDINGS = ("us", "is", "ss")
_IRREGULAR = {"lens": "lenses", "pancreas": "pancreases"}
"""What `inflect` takes for plurals, or gets wrong."""


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: "top left, top and center"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


@functools.lru_cache(maxsize=4096)
def with_article(words: str) -> str:
    """Return `words` after "a" or "an", as they are spoken; a plural stays without."""
    if plural_of(words) == words:
        return words
    article = _english().a(words).split(" ", 1)[0]
    return f"{article} {words}"


@functools.lru_cache(maxsize=4096)
def plural_of(noun: str) -> str:
    """Return the plural of a noun or noun phrase; a plural, such as "lungs", is its own.

    A capital at the begin of the last word stays: "Airspace Opacities".
    """
    before, _, last = noun.rpartition(" ")
    if not last:
        return noun
    plural = _plural(last.lower()).capitalize() if last.istitle() else _plural(last)
    return f"{before} {plural}" if before else plural


def _plural(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    engine = _english()
    singular = None if word.endswith(_SINGULAR_ENDINGS) else engine.singular_noun(word)
    if singular and engine.plural_noun(singular) == word:
        return word
    return engine.plural_noun(word)


@functools.lru_cache
def _english() -> inflect.engine:
    import inflect

    return inflect.engine()
