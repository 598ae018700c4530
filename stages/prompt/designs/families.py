"""The prompts of a family of datasets: P0 to P9 of Poudel et al. and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.manifest import nearest
from stages.prompt.attributes import Attributes, Prompt
from stages.prompt.designs.templates import capitalised, fill, names_told, placeholders

if TYPE_CHECKING:
    from pipeline.stream import Stream
    from stages.prompt.schema import Family, RuleSet, Template

DESCRIPTION = "description"
_TELLS = {"noun": "class"}


def family_prompts(
    rules: RuleSet, family: str, attributes: Attributes, stream: Stream
) -> tuple[Prompt, ...]:
    """Return every prompt of `family` in the order declared, each in all its variants.

    A variant is one template with one general description of the class; equal texts are one
    variant. An image without the target (`attributes.count` 0) gets the family's `absent` prompts.

    Parameters
    ----------
    rules : RuleSet
    family : str
    attributes : Attributes
    stream : Stream
        Of the sample. The variant that is `chosen` is drawn from its child of the prompt's name,
        so that it depends on nothing else.

    Raises
    ------
    UsageError
        If the rule set has no such family.
    DataError
        If an attribute is unknown that a template cannot do without.
    """
    declared = family_of(rules, family)
    values = template_values(rules, attributes)
    made = []
    for design, templates in prompts_for(declared, attributes).items():
        variants = variants_of(declared, templates, values, attributes.descriptions)
        chosen = choice(stream, design, variants)
        for position, variant in enumerate(variants):
            made.append(Prompt(design, position, variant is chosen, variant.text))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Variant:
    """One text of a prompt, and what it was made of."""

    text: str
    template: str
    values: Mapping[str, str]

    def told(self, rules: RuleSet) -> set[str]:
        """Return the attributes that the text tells; `noun` tells the class."""
        names = names_told(self.template, self.values)
        return {
            rules.derived[name].of if name in rules.derived else _TELLS.get(name, name)
            for name in names
        }


def variants_of(
    family: Family, templates: Template, values: Mapping[str, str], descriptions: Sequence[str]
) -> list[Variant]:
    """Return every variant of a prompt, each text once."""
    found: dict[str, Variant] = {}
    for variant in _variants(templates, values, descriptions):
        text = capitalised(variant.text) if family.capitalised else variant.text
        found.setdefault(text, Variant(text, variant.template, variant.values))
    return list(found.values())


def choice(stream: Stream, design: str, variants: Sequence[Variant]) -> Variant:
    """Return the variant on which the choice of the sample's `stream` falls for a design."""
    return variants[int(stream.child(design).below(len(variants), 1)[0])]


def family_of(rules: RuleSet, family: str) -> Family:
    """Return what `rules` declare for `family`.

    Raises
    ------
    UsageError
        If they have no such family; the nearest name is suggested.
    """
    if family not in rules.families:
        found = nearest(family, rules.families)
        message = f"the rule set {rules.id!r} has no prompts for the family {family!r}{found}"
        raise UsageError(message)
    return rules.families[family]


def template_values(rules: RuleSet, attributes: Attributes) -> dict[str, str]:
    """Return the word of each placeholder: the attributes, the noun, and what `rules` derive."""
    values = dict(attributes.values)
    noun = attributes.plural if attributes.count > 1 else ""
    values["noun"] = noun or values.get("class", "")
    for name, derived in rules.derived.items():
        values[name] = derived.word(values.get(derived.of, ""))
    return values


def prompts_for(family: Family, attributes: Attributes) -> dict[str, Template]:
    """Return the templates of `family` for a target that is there, or is not."""
    return family.absent or family.prompts if attributes.count == 0 else family.prompts


def _variants(
    templates: Template, values: Mapping[str, str], descriptions: Sequence[str]
) -> Iterator[Variant]:
    for template in (templates,) if isinstance(templates, str) else templates:
        if DESCRIPTION in placeholders(template) and descriptions:
            for description in descriptions:
                told = {**values, DESCRIPTION: description}
                yield Variant(fill(template, told), template, told)
        else:
            yield Variant(fill(template, values), template, values)
