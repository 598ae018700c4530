"""From published prompts back to attributes, by the templates that make them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from stages.prompt.attributes import KEYS, Attributes
from stages.prompt.designs.english import plural_of
from stages.prompt.designs.families import DESCRIPTION, family_of, template_values
from stages.prompt.designs.templates import parsed
from stages.prompt.published.matching import RULES, Known, flattened, match, spaced, uncapitalised
from stages.prompt.published.sentences import parse_text
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording.told import NONE, number_word

if TYPE_CHECKING:
    from stages.prompt.schema import Family, RuleSet, Template

__all__ = ["parse_prompts", "parse_text"]

_COUNTED = 1000
"""Numbers in words are understood below this."""


def parse_prompts(prompts: Mapping[str, str | Sequence[str]], family: str) -> Attributes:
    """Return the attributes that the prompts of one published record say.

    The inverse of `stages.prompt.designs.families.family_prompts` for the rule set `poudel`: the
    prompts are read in their order, each by its templates, in which what earlier prompts said is
    already filled in. The amount of white space is not compared.

    Parameters
    ----------
    prompts : mapping
        `p0`, `p1`, ... to a text or the list of its variants. Some may be left out, as long as
        what the others say is not ambiguous.
    family : str

    Returns
    -------
    attributes : Attributes
        All of origin `published`. Of prompts that say the target is absent: count 0, number "no".

    Raises
    ------
    DataError
        If a text does not follow the templates of its prompt.
    UsageError
        If there is no such family.
    """
    rules = RULE_SETS[RULES]
    declared = family_of(rules, family)
    texts = {name: _texts(found, declared) for name, found in prompts.items()}
    try:
        known, descriptions = _read_all(rules, declared.absent, texts)
    except DataError:
        known = {}
    if known:
        return _attributes(rules, {**known, "number": NONE}, (), 0)
    known, descriptions = _read_all(rules, declared.prompts, texts)
    return _attributes(rules, known, descriptions, _count(known))


def _texts(found: str | Sequence[str], family: Family) -> list[str]:
    texts = [spaced(text) for text in ((found,) if isinstance(found, str) else found)]
    return [uncapitalised(text) for text in texts] if family.capitalised else texts


def _read_all(
    rules: RuleSet, declared: Mapping[str, Template], texts: Mapping[str, Sequence[str]]
) -> tuple[Known, tuple[str, ...]]:
    """Return what all prompts say together, and the general descriptions in them."""
    known: Known = {}
    descriptions: dict[str, None] = {}
    for design, template in declared.items():
        templates = (template,) if isinstance(template, str) else template
        found = texts.get(design, ())
        for number, text in enumerate(found):
            own = templates[number : number + 1] if len(found) == len(templates) else ()
            read = _read_any(rules, (*own, *templates), text, known)
            if read is None:
                message = f"{design}: {text!r} does not follow its template {templates[0]!r}"
                raise DataError(message)
            if description := read.get(DESCRIPTION):
                descriptions[description] = None
            known = {name: word for name, word in read.items() if name != DESCRIPTION}
    return known, tuple(descriptions)


def _read_any(rules: RuleSet, templates: Iterable[str], text: str, known: Known) -> Known | None:
    """Return `known` and what `text` adds to it by the first of `templates` that fits."""
    for template, values in product(templates, tuple(_with_derived(rules, known))):
        for flat, left_out in flattened(parsed(template), values):
            found = match(flat, text, values)
            if found is not None:
                return _settled(rules, {**dict.fromkeys(left_out, ""), **values, **found})
    return None


def _with_derived(rules: RuleSet, known: Known) -> Iterator[Known]:
    """Yield `known` with the words that follow from it, for each noun that may be meant."""
    values = template_values(rules, _attributes(rules, known, (), 1))
    follow = {name: values[name] for name in rules.derived if known.get(rules.derived[name].of)}
    noun = known.get("class")
    if noun is None:
        yield {**known, **follow}
        return
    nouns = (noun, plural_of(noun))
    for form in reversed(nouns) if _count(known) > 1 else nouns:
        yield {**known, **follow, "noun": form}


def _settled(rules: RuleSet, known: Known) -> Known:
    """Return `known` with what derived words were derived from, in place of them."""
    settled = {name: word for name, word in known.items() if name in KEYS}
    for name, derived in rules.derived.items():
        origin = next((one for one, word in derived.words.items() if word == known.get(name)), "")
        if origin and not settled.get(derived.of):
            settled[derived.of] = origin
    return settled


def _count(known: Known) -> int:
    """Return how many objects the words say: by the number, else by the places listed, else 1."""
    if known.get("number", "") in _numbers():
        return _numbers()[known["number"]]
    return len(known["location"].split(", ")) if known.get("location") else 1


@functools.lru_cache
def _numbers() -> Mapping[str, int]:
    return {NONE: 0} | {number_word(number): number for number in range(_COUNTED)}


def _attributes(
    rules: RuleSet, known: Known, descriptions: tuple[str, ...], count: int
) -> Attributes:
    values = {name: word for name, word in known.items() if word and name in KEYS}
    noun = values.get("class", "")
    return Attributes(
        values,
        dict.fromkeys(values, "published"),
        count,
        descriptions or rules.descriptions.get(noun, ()),
        plural_of(noun) if noun else "",
    )
