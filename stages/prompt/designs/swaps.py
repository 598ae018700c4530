"""Prompts with one attribute swapped for another word (Poudel et al., Section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal, TypeAlias

from stages.prompt.attributes import Attributes, Prompt
from stages.prompt.designs.families import choice, family_of, template_values, variants_of
from stages.prompt.designs.opposites import opposite_of
from stages.prompt.designs.uncommon import UNCOMMON_WORDS

if TYPE_CHECKING:
    from pipeline.stream import Stream
    from stages.prompt.schema import Family, RuleSet

Kind: TypeAlias = Literal["random", "opposite"]
KINDS: tuple[Kind, ...] = ("random", "opposite")
SWAPPED = (
    *("number", "size", "location", "shape", "colour"),
    *("tumor_type", "view", "cycle", "gender"),
)
"""The attributes that are swapped, where the prompt tells them."""


def swap_prompts(
    rules: RuleSet, family: str, attributes: Attributes, stream: Stream
) -> tuple[Prompt, ...]:
    """Return the swap probes of one target: `<prompt>-<attribute>-<kind>`.

    Of the fullest prompt of the family (`Family.swaps_of`), each attribute that it tells is
    replaced once by an uncommon English word ("random") and once by a wrong value of the same
    attribute ("opposite"), both drawn from the sample's own stream; every other word stays, except
    that the noun agrees with a swapped number. A target that is not there has none, nor has an
    attribute whose values are unknown an opposite.

    Parameters
    ----------
    rules : RuleSet
    family : str
    attributes : Attributes
    stream : Stream
        Of the sample.

    Raises
    ------
    UsageError
        If the rule set has no such family.
    """
    declared = family_of(rules, family)
    if not declared.swaps_of or attributes.count == 0:
        return ()
    return tuple(_swapped(rules, declared, attributes, stream))


def _swapped(
    rules: RuleSet, family: Family, attributes: Attributes, stream: Stream
) -> Iterator[Prompt]:
    prompt = family.swaps_of
    for attribute, kind in product(_told(rules, family, attributes, stream), KINDS):
        design = f"{prompt}-{attribute}-{kind}"
        word = _word(rules, attribute, attributes.values[attribute], kind, stream.child(design))
        if not word:
            continue
        values = template_values(rules, _with(attributes, attribute, word))
        for name, derived in rules.derived.items():
            if derived.of == attribute:
                values[name] = values[name] or word  # what follows from no known word
        variants = variants_of(family, family.prompts[prompt], values, attributes.descriptions)
        chosen = choice(stream, prompt, variants)
        for position, variant in enumerate(variants):
            yield Prompt(
                design, position, variant is chosen, variant.text, "falsified", (attribute,)
            )


def _told(rules: RuleSet, family: Family, attributes: Attributes, stream: Stream) -> Sequence[str]:
    """Return which of `SWAPPED` the chosen variant of the prompt tells."""
    prompt = family.swaps_of
    values = template_values(rules, attributes)
    variants = variants_of(family, family.prompts[prompt], values, attributes.descriptions)
    told = choice(stream, prompt, variants).told(rules)
    return [name for name in SWAPPED if name in told and attributes.values.get(name)]


def _word(rules: RuleSet, attribute: str, word: str, kind: Kind, stream: Stream) -> str:
    if kind == "random":
        return UNCOMMON_WORDS[int(stream.below(len(UNCOMMON_WORDS), 1)[0])]
    return opposite_of(rules, attribute, word, stream)


def _with(attributes: Attributes, attribute: str, word: str) -> Attributes:
    """Return the attributes with one word swapped, and the count that the new number stands for."""
    count = attributes.count
    if attribute == "number" and word in {"one", "single"}:
        count = 1
    elif attribute == "number" and word not in UNCOMMON_WORDS:
        count = max(2, count)
    values = {**attributes.values, attribute: word}
    return dataclasses.replace(attributes, values=values, count=count)
