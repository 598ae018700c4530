"""Templates read backwards: which words make a template the text that is there."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from stages.prompt.designs.english import plural_of
from stages.prompt.designs.templates import OptionalPart, Part, Place
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording.told import number_word

RULES = "poudel"
"""The rule set by which published prompts are read."""
NOUNS = ("tumor",)
"""Class keywords of published prompts that have no general descriptions."""

Known: TypeAlias = Mapping[str, str]
"""Placeholder to its word; empty where it is known that there is none."""
Flat: TypeAlias = tuple[str | Place, ...]
"""A template whose optional parts are decided on."""

_TELLING = 8
"""Letters of fixed text from which on a template is recognised with any word as the class."""


def flattened(parts: tuple[Part, ...], known: Known) -> Iterator[tuple[Flat, tuple[str, ...]]]:
    """Yield a template with each choice of its optional parts, and the names that are left out.

    A part whose words are all known is in, one with a word known to be missing is out; of the
    others, being in comes first.
    """
    choices: list[list[tuple[Flat, tuple[str, ...]]]] = []
    for part in parts:
        if isinstance(part, OptionalPart):
            choices.append(list(_choices(part, known)))
        else:
            choices.append([((part,), ())])
    for choice in itertools.product(*choices):
        flat = tuple(itertools.chain.from_iterable(one for one, _ in choice))
        yield flat, tuple(itertools.chain.from_iterable(names for _, names in choice))


def match(flat: Flat, text: str, known: Known, nouns: tuple[str, ...] = ()) -> Known | None:
    """Return the words that make `flat` the `text`, None if there are none.

    Parameters
    ----------
    flat : Flat
    text : str
        With single spaces, and none at its ends.
    known : Known
    nouns : tuple of str
        Further class keywords.
    """
    pieces = tuple(
        known[part.name] if isinstance(part, Place) and known.get(part.name) else part
        for part in flat
    )
    places = [at for at, part in enumerate(pieces) if isinstance(part, Place)]
    if not places:
        return {} if spaced("".join(map(str, pieces))) == text else None
    if len(places) == 1:
        return _between(pieces, places[0], text)
    found = expression(pieces, nouns).fullmatch(text)
    return found.groupdict() if found else None


@functools.lru_cache(maxsize=2048)
def expression(pieces: Flat, nouns: tuple[str, ...] = ()) -> re.Pattern[str]:
    """Return the regular expression of a template with unknown words.

    A template with hardly any fixed text, which would fit nearly everything, needs a class keyword
    that is published or among `nouns`; in others any word, and as their first place up to three,
    may be the class.
    """
    places = [part for part in pieces if isinstance(part, Place)]
    fixed = spaced("".join("\0" if isinstance(part, Place) else part for part in pieces))
    telling = sum(letter.isalpha() for letter in fixed) >= _TELLING
    seen: set[str] = set()
    patterns = []
    for piece in re.split("(\0)", fixed):
        if piece != "\0":
            patterns.append(re.escape(piece))
            continue
        name = places[len(seen)].name
        any_class = (r"\S+(?: \S+){0,2}" if not seen else r"\S+") if telling else None
        patterns.append(f"(?P<{name}>{_pattern(name, nouns, any_class)})")
        seen.add(name)
    return re.compile("".join(patterns))


def spaced(text: str, *, begin: bool = True, end: bool = True) -> str:
    """Return `text` with single spaces, and none at its begin and end unless told otherwise."""
    single = re.sub(r"\s+", " ", text)
    single = single.lstrip() if begin else single
    return single.rstrip() if end else single


def uncapitalised(text: str) -> str:
    """Return `text` with a small first letter, unless its second is a capital as well."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


@functools.lru_cache
def keywords(nouns: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Return the class keywords that are published, and `nouns`: singular and plural to each."""
    known = {*RULE_SETS[RULES].descriptions, *NOUNS, *nouns}
    return {plural_of(noun): noun for noun in known} | {noun: noun for noun in known}


@functools.lru_cache
def _number_pattern() -> str:
    """Return what numbers from zero to ninety-nine look like in words, and "no"."""
    units = "|".join(number_word(number) for number in range(20))
    tens = "|".join(number_word(number) for number in range(20, 100, 10))
    return f"(?:no|(?:{tens})(?:-(?:{units}))?|{units})"


def _choices(part: OptionalPart, known: Known) -> Iterator[tuple[Flat, tuple[str, ...]]]:
    names = [one.name for one in part.parts if isinstance(one, Place)]
    if any(known.get(name) == "" for name in names):
        yield (), ()
        return
    yield from flattened(part.parts, known)
    unknown = tuple(name for name in names if name not in known)
    if unknown:
        yield (), unknown


def _between(pieces: Sequence[str | Place], place: int, text: str) -> Known | None:
    """Return the only unknown word: what stands between the text before it and after it."""
    before = spaced("".join(map(str, pieces[:place])), end=False)
    after = spaced("".join(map(str, pieces[place + 1 :])), begin=False)
    word = text[len(before) : len(text) - len(after)]
    name = pieces[place]
    if not word or word != word.strip() or not isinstance(name, Place):
        return None
    return {name.name: word} if before + word + after == text else None


@functools.lru_cache(maxsize=2048)
def _pattern(name: str, nouns: tuple[str, ...], any_class: str | None) -> str:
    """Return what the words of an attribute look like, where another unknown word is near."""
    rules = RULE_SETS[RULES]
    if name in {"class", "noun"}:
        listed = "|".join(map(re.escape, sorted(keywords(nouns), key=len, reverse=True)))
        return f"(?:{listed}|{any_class})" if any_class else f"(?:{listed})"
    size = "|".join(re.escape(one.word) for one in rules.sizes)
    place = "(?:top|bottom)(?: left| right)?|left|right|center"
    if name in rules.derived:
        return "|".join(rules.derived[name].words.values())
    return {
        "number": _number_pattern(),
        "size": f"(?:{size})(?:, (?:{size}))*",
        "location": f"(?:{place})(?:, (?:{place}))*",
        "colour": r"(?!an? )[a-z]+",
        "tumor_type": "|".join(one for d in rules.derived.values() for one in d.words),
    }.get(name, ".+?")
