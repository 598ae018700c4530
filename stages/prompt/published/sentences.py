"""Attribute words in a single published sentence, whoever published it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.prompt.attributes import ATTRIBUTES, REPORT
from stages.prompt.designs.families import DESCRIPTION
from stages.prompt.designs.templates import Place, parsed
from stages.prompt.published.matching import (
    RULES,
    Flat,
    expression,
    flattened,
    keywords,
    spaced,
    uncapitalised,
)
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording.told import NONE

_TOLD = tuple(name for name in ATTRIBUTES if name != DESCRIPTION)
_NO_PLACE = re.compile(r"located in[ ,]*of\b")

_BREAST = "in the breast ultrasound image."
_COLON = "surrounded by minor mucosal irregularities and vascular patterns."
_MEDCLIPSEG = (
    "{number} {size} {colour} {shape} {class}, located in of the image",
    "{class} visible.",
    (
        "an endoscopic image reveals a clearly visible {size}, {colour}, {shape} {class} located "
        f"in the {{location}} region of the colon, {_COLON}"
    ),
    (
        "{colour} {shape} {class} detected in the {location}, but colon mucosa appears completely "
        "normal and healthy."
    ),
    *(
        template
        for looks in (
            "{size} {shape}-shaped {tumor_type} {class}",
            "{size} {shape} {tumor_type} {class}",
        )
        for template in (
            f"{{number}} {looks} {_BREAST}",
            (
                f"{{number}} {looks} with irregular boundaries and complex internal texture at the "
                f"{{location}} {_BREAST}"
            ),
            f"breast appears normal, yet {{number}} {looks} is seen at the {{location}}.",
        )
    ),
    "breast appears normal with no {class}, although one lesion seems visible.",
)
"""The released workbooks of MedCLIPSeg (test sets of Kvasir, ColonDB, CVC300 and BUSI), beyond the
sentences that they took over from Poudel et al. White space where a place was deleted is one."""
_MEDCLIPSEG_ABSENT = (
    f"no {{class}} visible {_BREAST}",
    (
        "no {class} detected in the breast ultrasound image, and the breast tissue appears uniform "
        "with consistent echogenicity and smooth borders."
    ),
    "normal breast.",
)


@dataclass(frozen=True, slots=True)
class _Grammar:
    """A template with its optional parts decided on."""

    flat: Flat
    begins_small: bool
    """Whether the template is written without the capital that its sentence begins with."""
    absent: bool
    """Whether it says that the target is not there."""
    literals: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def parse_text(text: str, nouns: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Return the attribute words that one published sentence says, as far as they are recognised.

    Known are the sentences of Poudel et al. (every prompt of every family) and the five designs
    of MedCLIPSeg's released workbooks. Short phrases without a sentence around them, such as "pink
    round polyp", are understood if their class is one of the published keywords or of `nouns`.

    Parameters
    ----------
    text : str
    nouns : tuple of str
        Further class keywords.

    Returns
    -------
    words : mapping
        Attribute to word, without general descriptions. The number is "no" where the sentence
        says that there is nothing. Empty if the sentence follows none of the templates.
    """
    single = spaced(_NO_PLACE.sub("located in of", text))
    small = uncapitalised(single)
    for grammar in _grammars():
        read = small if grammar.begins_small else single
        if not all(literal in read for literal in grammar.literals):
            continue
        found = expression(grammar.flat, nouns).fullmatch(read)
        if found:
            return _said(found.groupdict(), nouns, absent=grammar.absent)
    return {}


def _said(words: Mapping[str, str], nouns: tuple[str, ...], *, absent: bool) -> dict[str, str]:
    said = {name: words[name] for name in _TOLD if name in words}
    if noun := words.get("noun"):
        said["class"] = keywords(nouns).get(noun, noun)
    for name, derived in RULE_SETS[RULES].derived.items():
        origin = next((one for one, word in derived.words.items() if word == words.get(name)), "")
        if origin:
            said[derived.of] = origin
    return said | {"number": NONE} if absent else said


@functools.lru_cache
def _grammars() -> tuple[_Grammar, ...]:
    """Return every template with every choice of its optional parts, the most telling first."""
    found = [
        *_of_templates(_MEDCLIPSEG, begins_small=True, absent=False),
        *_of_templates(_MEDCLIPSEG_ABSENT, begins_small=True, absent=True),
    ]
    for family in RULE_SETS[RULES].families.values():
        for prompts, absent in ((family.absent, True), (family.prompts, False)):
            for templates in prompts.values():
                several = (templates,) if isinstance(templates, str) else templates
                found += _of_templates(several, begins_small=family.capitalised, absent=absent)
    return tuple(sorted(dict.fromkeys(found), key=_telling, reverse=True))


def _of_templates(
    templates: Iterable[str], *, begins_small: bool, absent: bool
) -> Iterable[_Grammar]:
    for template in templates:
        for flat, _ in flattened(parsed(template), {}):
            # A report is any text at all, and tells no attribute.
            if flat and not any(isinstance(part, Place) and part.name == REPORT for part in flat):
                literals = tuple(part.strip() for part in flat if isinstance(part, str))
                yield _Grammar(flat, begins_small, absent, literals)


def _telling(grammar: _Grammar) -> tuple[int, int]:
    """Return how much of a template is fixed text, then how many words it tells."""
    letters = sum(map(len, grammar.literals))
    return letters, sum(isinstance(part, Place) for part in grammar.flat)
