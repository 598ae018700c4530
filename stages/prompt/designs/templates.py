"""Templates of prompts: text with places for words, and parts that may be left out."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.errors import DataError
from stages.prompt.designs.english import with_article

_TOKEN = re.compile(r"\{([^{}\[\]]*)\}|([\[\]])|([^{}\[\]]+)|(.)", re.DOTALL)
_PLACE = re.compile(r"(?:(?P<article>[aA]) )?(?P<name>[A-Za-z][a-z_]*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word comes: `{shape}`, `{Shape}`, `{a shape}` or `{A shape}`."""

    name: str
    """The attribute, in lower case."""
    article: bool
    capital: bool


@dataclass(frozen=True, slots=True)
class OptionalPart:
    """A part that is left out where a word directly inside is unknown: `[...]`."""

    parts: tuple[Part, ...]


Part: TypeAlias = str | Place | OptionalPart


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return `template` with its places filled.

    Parameters
    ----------
    template : str
        `{shape}` becomes the word, `{Shape}` the word with a capital first letter, `{a shape}` the
        word after its indefinite article (`inflect`), `{A shape}` the same with a capital.
        `[...]` is left out where a word directly inside is unknown. All else stays as it is,
        white space included.
    values : mapping
        Attribute to word. One that is absent or empty is unknown.

    Raises
    ------
    DataError
        If a word outside `[...]` is unknown, naming it and the template.
    ValueError
        If the template is malformed, which reading a rule set has ruled out.
    """
    try:
        return "".join(_filled(parsed(template), values))
    except KeyError as error:
        message = f"template {template!r}: the attribute {error} is not known"
        raise DataError(message) from error


@functools.lru_cache(maxsize=1024)
def parsed(template: str) -> tuple[Part, ...]:
    """Return the parts of `template`.

    Raises
    ------
    ValueError
        If its brackets are unbalanced, or what stands in braces is no place.
    """
    open_parts: list[list[Part]] = [[]]
    for place, bracket, text, stray in _TOKEN.findall(template):
        if bracket == "[":
            open_parts.append([])
        elif bracket == "]" and len(open_parts) > 1:
            inner = open_parts.pop()
            open_parts[-1].append(OptionalPart(tuple(inner)))
        elif bracket or stray:
            message = f"template {template!r}: {bracket or stray!r} has no counterpart"
            raise ValueError(message)
        else:
            open_parts[-1].append(text or _place(place, template))
    if len(open_parts) > 1:
        message = f"template {template!r}: '[' has no counterpart"
        raise ValueError(message)
    return tuple(open_parts[0])


@functools.lru_cache(maxsize=1024)
def placeholders(template: str) -> tuple[str, ...]:
    """Return the names of all places of `template`, in order."""
    return tuple(_names(parsed(template)))


def names_told(template: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the places that `fill` fills, in order: not those it leaves out."""
    return tuple(_told(parsed(template), values))


def capitalised(text: str) -> str:
    """Return `text` with its first letter as a capital and the rest as it is."""
    return text[:1].upper() + text[1:]


def _place(content: str, template: str) -> Place:
    found = _PLACE.fullmatch(content)
    if found is None:
        message = f"template {template!r}: {{{content}}} names no attribute"
        raise ValueError(message)
    article, name = found["article"], found["name"]
    capital = article == "A" if article else name[0].isupper()
    return Place(name.lower(), article is not None, capital)


def _filled(parts: tuple[Part, ...], values: Mapping[str, str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Place):
            yield _worded(part, values)
        elif _is_in(part, values):
            yield from _filled(part.parts, values)


def _told(parts: tuple[Part, ...], values: Mapping[str, str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Place):
            yield part.name
        elif isinstance(part, OptionalPart) and _is_in(part, values):
            yield from _told(part.parts, values)


def _is_in(part: OptionalPart, values: Mapping[str, str]) -> bool:
    return all(values.get(one.name) for one in part.parts if isinstance(one, Place))


def _worded(place: Place, values: Mapping[str, str]) -> str:
    word = values.get(place.name)
    if not word:
        raise KeyError(place.name)
    if place.article:
        word = with_article(word)
    return capitalised(word) if place.capital else word


def _names(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Place):
            yield part.name
        elif isinstance(part, OptionalPart):
            yield from _names(part.parts)
