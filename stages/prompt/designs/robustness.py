"""MedCLIPSeg's five prompt designs (Koleilat et al., Table S3), all of one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from stages.prompt.attributes import ATTRIBUTES, Attributes, Prompt
from stages.prompt.designs.families import (
    Variant,
    choice,
    family_of,
    prompts_for,
    template_values,
    variants_of,
)
from stages.prompt.record import OK
from stages.prompt.schema import DESIGNS, FACTS, reused_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.stream import Stream
    from stages.prompt.record import Record, Region
    from stages.prompt.schema import Family, RuleSet, Template

Change: TypeAlias = Literal["", "added", "removed", "falsified"]

ORIGINAL, UNDERDESCRIPTIVE, OVERDESCRIPTIVE, CONTRADICTORY, MISSING_LOCATION = DESIGNS
DENIED = "class"
"""The attribute that a contradictory prompt states and denies: whether the target is there."""
EVEN_FROM = 0.95
"""Solidity of every region from which the outline is even ..."""
INDENTED_BELOW = 0.85
"""... and below which, in every region, it is indented; in between it has no word."""


def robustness_prompts(
    rules: RuleSet, family: str, attributes: Attributes, record: Record | None, stream: Stream
) -> tuple[Prompt, ...]:
    """Return the five designs of one target, each with all its variants and what it changed.

    - `original`: true to the attributes; nothing is changed.
    - `underdescriptive`: "removed" are the attributes of the original that it does not tell.
    - `overdescriptive`: "added" are attributes and `facts_of` that the original does not tell.
    - `contradictory`: states that the target is there and that it is not; "falsified" is `DENIED`,
      as one of the two is false in every image.
    - `missing_location`: "removed" is the location.

    Every design is made of every target, so that the prompts of all designs pair. One that has
    nothing to change, such as a location to remove where the original tells none, or the
    attributes of a target that is not there, is still a true text; its change is empty. Where
    the original has several variants, the changes are those against the chosen one.

    Parameters
    ----------
    rules : RuleSet
    family : str
        Without `designs` it has none of these prompts.
    attributes : Attributes
    record : Record, optional
        What facts are taken from; None: there are none.
    stream : Stream
        Of the sample. A design that reuses a prompt gets the same choice as that prompt.

    Raises
    ------
    UsageError
        If the rule set has no such family.
    DataError
        If an attribute is unknown that a template cannot do without.
    """
    declared = family_of(rules, family)
    if not declared.designs:
        return ()
    values = facts_of(rules, record) | template_values(rules, attributes)
    designs: dict[str, tuple[Sequence[Variant], Variant]] = {}
    for design in DESIGNS:
        source, templates = _templates(declared, attributes, design)
        variants = variants_of(declared, templates, values, attributes.descriptions)
        designs[design] = variants, choice(stream, source, variants)
    true = designs[ORIGINAL][1].told(rules)
    return tuple(
        Prompt(design, position, variant is chosen, variant.text, *_change(design, told, true))
        for design, (variants, chosen) in designs.items()
        for position, variant in enumerate(variants)
        for told in [variant.told(rules)]
    )


def facts_of(rules: RuleSet, record: Record | None) -> dict[str, str]:
    """Return what else is true of a target, by the names of `schema.FACTS`.

    The facts are of the regions that `rules` keep, specks left out. They begin in lower case, fit
    one object and several, and are absent where they are unknown:

    - `share`: what the regions cover of the image, "12.3 per cent" (or "less than 0.1 per cent");
    - `border`: "touching the border of the image" or "away from the border of the image"; of
      several regions "some of them touching ..." or "all of them touching ...";
    - `outline`: "even" or "indented", by the solidity of all regions (`EVEN_FROM`,
      `INDENTED_BELOW`);
    - `holes`: "without holes", "with one hole", "with two holes", ...; of several regions "with
      two holes in all"; of instances unknown, as their parts may be several (`Region.euler`);
    - `contrast`: "brighter than the surroundings" or "darker ...", from `rules.contrast_from` gray
      levels on.
    """
    if record is None or record.status != OK or record.whole is None:
        return {}
    from stages.prompt.wording.regions import kept_regions  # whose package uses english.py

    regions = kept_regions(rules, record)
    found = {
        "share": _share(sum(one.area for one in regions) / (record.height * record.width)),
        "border": _border(regions),
        "outline": _outline(rules, regions),
        "holes": "" if record.instances else _holes(regions),
        "contrast": _contrast(rules, record.whole),
    }
    return {name: found[name] for name in FACTS if found[name]}


def _templates(family: Family, attributes: Attributes, design: str) -> tuple[str, Template]:
    """Return the templates of a design, and the prompt or design whose choice of them counts."""
    prompts = prompts_for(family, attributes)
    designs = family.absent_designs if attributes.count == 0 else family.designs
    reused = reused_prompt(designs[design])
    if reused in prompts:
        return reused, prompts[reused]
    return _templates(family, attributes, reused) if reused else (design, designs[design])


def _change(design: str, told: set[str], true: set[str]) -> tuple[Change, tuple[str, ...]]:
    """Return what a design that tells `told` did to what is `true` of the original."""
    if design == CONTRADICTORY:
        return "falsified", (DENIED,)
    change: Change = "added" if design == OVERDESCRIPTIVE else "removed"
    changed = told - true if change == "added" else true - told
    if design == ORIGINAL or not changed:
        return "", ()
    return change, tuple(name for name in (*ATTRIBUTES, *FACTS) if name in changed)


def _share(share: float) -> str:
    tenths = round(1000 * share)
    if tenths == 0:
        return "less than 0.1 per cent"
    return f"{tenths // 10}{f'.{tenths % 10}' if tenths % 10 else ''} per cent"


def _border(regions: Sequence[Region]) -> str:
    touching = sum(one.touches_border for one in regions)
    if touching == 0:
        return "away from the border of the image"
    which = "all of them " if touching == len(regions) else "some of them "
    return f"{which if len(regions) > 1 else ''}touching the border of the image"


def _outline(rules: RuleSet, regions: Sequence[Region]) -> str:
    if any(one.area < rules.shape_from for one in regions):
        return ""
    if all(one.solidity >= EVEN_FROM for one in regions):
        return "even"
    return "indented" if all(one.solidity < INDENTED_BELOW for one in regions) else ""


def _holes(regions: Sequence[Region]) -> str:
    from stages.prompt.wording.told import number_word

    holes = sum(1 - one.euler for one in regions)
    if holes == 0:
        return "without holes"
    in_all = " in all" if len(regions) > 1 else ""
    return f"with {number_word(holes)} hole{'s' if holes > 1 else ''}{in_all}"


def _contrast(rules: RuleSet, whole: Region) -> str:
    if whole.contrast is None or abs(whole.contrast) < rules.contrast_from:
        return ""
    return f"{'brighter' if whole.contrast > 0 else 'darker'} than the surroundings"
