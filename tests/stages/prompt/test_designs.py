"""MedCLIPSeg's five designs and the swap probes: each changes what it names and nothing else."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stream import Stream
from stages.prompt.attributes import Attributes, Prompt
from stages.prompt.designs import prompts_of
from stages.prompt.designs.families import template_values, variants_of
from stages.prompt.designs.opposites import opposite_of
from stages.prompt.designs.robustness import facts_of
from stages.prompt.designs.swaps import SWAPPED
from stages.prompt.designs.uncommon import UNCOMMON_WORDS
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.schema import DESIGNS, reused_prompt
from tests.stages.prompt.hand_written import attributes, empty_record, record, region

STREAM = Stream.of("designs")
FAMILIES = [
    (name, family)
    for name in RULE_SETS
    for family, declared in RULE_SETS[name].families.items()
    if declared.designs
]
PRESENT = attributes()
TWO = attributes(2, number="two", location="top left and center", size="small to large")
ABSENT = attributes(0, number="no", shape="", colour="", size="", location="")


def made(name: str, family: str, told: Attributes, stream: Stream = STREAM) -> list[Prompt]:
    """Return every prompt of a rule set and family."""
    of = empty_record() if told.count == 0 else record(regions=[region(400)])
    return list(prompts_of(RULE_SETS[name], family, told, of, stream))


def chosen(prompts: list[Prompt]) -> dict[str, Prompt]:
    """Return the chosen variant of each design."""
    return {prompt.design: prompt for prompt in prompts if prompt.chosen}


@pytest.mark.parametrize(("name", "family"), FAMILIES)
@pytest.mark.parametrize("told", [PRESENT, TWO, ABSENT], ids=["one", "two", "none"])
def test_every_text_is_english(name: str, family: str, told: Attributes) -> None:
    """No gap, no stray comma, no empty text but P0, and one chosen variant of each design."""
    prompts = made(name, family, told)
    assert {*DESIGNS} <= {prompt.design for prompt in prompts}
    for prompt in prompts:
        if prompt.design == "p0":
            assert prompt.text == ""
            continue
        if name != "poudel" or prompt.design in {"overdescriptive", "contradictory"}:
            assert not re.search(r"  | [,.;]|,,|,\.|\[|\]|\{|\}|^ | $", prompt.text), prompt.text
            assert not re.search(r"\b[aA] [aeio]\w|\b[aA]n [^aeiouhAEIOUH\s]", prompt.text), prompt
        assert prompt.text
    assert len(chosen(prompts)) == len({prompt.design for prompt in prompts})


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_five_designs_of_one_record(name: str, family: str) -> None:
    """Over adds true facts, under keeps the class, missing location has none, original is true."""
    five = chosen(made(name, family, PRESENT))
    original, under, over = (five[design] for design in DESIGNS[:3])
    assert (original.change, original.changed) == ("", ())
    assert under.change == "removed"
    assert "polyp" in under.text.lower()
    assert not {"small", "pink", "round", "left"} & set(re.findall(r"\w+", under.text.lower()))
    assert over.change == "added"
    assert {"share", "border", "holes"} <= set(over.changed)
    facts = facts_of(RULE_SETS[name], record(regions=[region(400)]))
    assert facts["share"] == "4.9 per cent"
    assert all(facts[fact] in over.text for fact in ("share", "border", "holes"))
    denied, unplaced = five["contradictory"], five["missing_location"]
    assert (denied.change, denied.changed) == ("falsified", ("class",))
    assert re.search(r"\bno\b|without", denied.text)
    assert "left" not in unplaced.text
    if "left" in original.text:
        assert (unplaced.change, unplaced.changed) == ("removed", ("location",))


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_designs_tell_what_the_original_does(name: str, family: str) -> None:
    """Over and contradictory leave nothing of it out, missing location only the location."""
    rules = RULE_SETS[name]
    declared, values = rules.families[family], template_values(rules, PRESENT)
    told = {}
    for design, template in (declared.prompts | declared.designs).items():
        source = reused_prompt(template)
        variants = variants_of(declared, template, values, ()) if not source else []
        told[design] = told[source] if source else {frozenset(v.told(rules)) for v in variants}
    (original,) = told["original"]
    assert all(one >= original for one in told["overdescriptive"])
    assert told["contradictory"] == {original}
    assert told["missing_location"] == {original - {"location"}}


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_designs_without_the_target(name: str, family: str) -> None:
    """All say that it is absent; the contradictory one claims it too; there are no swaps."""
    prompts = made(name, family, ABSENT)
    five = chosen(prompts)
    for design in DESIGNS:
        assert re.search(r"\b[Nn]o\b", five[design].text), five[design]
    assert five["contradictory"].text.lower().count("polyp") == 2
    others = [prompt for prompt in prompts if prompt.design != "contradictory"]
    assert "falsified" not in {prompt.change for prompt in others}
    assert not [prompt for prompt in prompts if "-" in prompt.design]


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_a_swap_changes_its_attribute_alone(name: str, family: str) -> None:
    """The rest of the sentence stays; opposites are never the truth, random words are uncommon."""
    five = chosen(made(name, family, PRESENT))
    prompt = RULE_SETS[name].families[family].swaps_of
    swaps = {design: one for design, one in five.items() if design.startswith(f"{prompt}-")}
    assert swaps
    for design, swapped in swaps.items():
        _, attribute, kind = design.split("-")
        assert (swapped.change, swapped.changed) == ("falsified", (attribute,))
        assert attribute in SWAPPED
        texts = (one.text.lower() for one in (five[prompt], swapped))
        before, after = (re.findall(r"\w+", text) for text in texts)
        assert before != after, design
        words = set(after) - set(before)
        if kind == "random":
            assert words & set(UNCOMMON_WORDS), design
        else:
            assert words or attribute == "location", design
            assert not words & set(UNCOMMON_WORDS)


def test_the_number_of_a_swap_decides_the_plural() -> None:
    """One becomes several and back, with its noun."""
    one = chosen(made("fixed", "photographic", PRESENT))["p6-number-opposite"].text
    assert re.match(r"(two|three|four|five) small pink round polyps, ", one)
    two = attributes(2, number="two")
    many = {chosen(made("fixed", "photographic", two, Stream.of(n)))["p6-number-opposite"].text
            for n in range(30)}  # fmt: skip
    assert any(text.startswith("one small pink round polyp,") for text in many)
    assert not any(text.startswith("two ") for text in many)


@pytest.mark.parametrize(
    ("attribute", "word", "wrong"),
    [
        ("size", "small", {"large"}),
        ("size", "medium", {"tiny", "small", "large"}),
        ("size", "small to medium", {"tiny", "large"}),
        ("location", "top left", {"bottom right"}),
        ("location", "patient's left", {"patient's right"}),
        ("location", "mostly top", {"mostly bottom"}),
        ("shape", "mostly round", {"oval", "irregular", "elongated", "branching", "rectangular"}),
        ("shape", "circle", {"oval", "irregular", "elongated", "branching", "rectangular"}),
        ("shape", "oval", {"round", "irregular", "branching", "rectangular"}),
        ("colour", "tan", {"white", "gray", "black", "red", "yellow", "green", "blue", "purple"}),
        ("colour", "brighter", {"darker"}),
        ("tumor_type", "malignant", {"benign"}),
        ("view", "two-chamber", {"four-chamber"}),
        ("view", "oblique", {""}),
    ],
)
def test_opposites(attribute: str, word: str, wrong: set[str]) -> None:
    """The other side, the other pole, or another value of the same attribute."""
    rules = RULE_SETS["fixed"]
    found = {opposite_of(rules, attribute, word, Stream.of(draw)) for draw in range(40)}
    assert found <= wrong
    assert "center" not in opposite_of(rules, "location", "left and center", STREAM).split()


@given(st.integers(0, 2**32), st.sampled_from(FAMILIES))
def test_choices_are_the_samples_own(seed: int, of: Any) -> None:
    """The same stream gives the same prompts; the original is chosen as the prompt it reuses."""
    name, family = of
    stream = Stream.of(seed)
    assert made(name, family, PRESENT, stream) == made(name, family, PRESENT, stream)
    five = chosen(made(name, family, PRESENT, stream))
    reused = RULE_SETS[name].families[family].designs["original"]
    assert isinstance(reused, str)
    assert five["original"].text == five[reused.removeprefix("= ")].text


@pytest.mark.parametrize(
    ("touching", "border"),
    [
        ((False,), "away from the border of the image"),
        ((True,), "touching the border of the image"),
        ((False, False), "away from the border of the image"),
        ((True, False), "some of them touching the border of the image"),
        ((True, True), "all of them touching the border of the image"),
    ],
)
def test_what_some_regions_do_is_not_said_of_all(touching: tuple[bool, ...], border: str) -> None:
    """The border that one of several touches; holes that are counted over all of them."""
    regions = [region(100, touches_border=touches, euler=0) for touches in touching]
    facts = facts_of(RULE_SETS["fixed"], record(regions=regions))
    assert facts["border"] == border
    assert facts["holes"] == ("with one hole" if len(touching) == 1 else "with two holes in all")


def test_holes_of_instances_are_unknown() -> None:
    """An instance in two parts has an Euler number of 2, and one of its holes may be hidden."""
    scattered = dataclasses.replace(record(regions=[region(400, euler=2)]), instances=True)
    assert "holes" not in facts_of(RULE_SETS["fixed"], scattered)


@pytest.mark.parametrize(
    ("colour", "beside"), [("darker", "darker than the"), ("white", "white against the")]
)
def test_an_answered_colour_is_no_comparison(colour: str, beside: str) -> None:
    """What a file says of the colour is no "brighter" or "darker"."""
    prompts = made("medclipseg", "photographic", attributes(colour=colour))
    assert all(f", {beside} surround" in p.text for p in prompts if p.design == "p6")


@pytest.mark.parametrize(
    ("name", "attribute", "word", "wrong"),
    [
        ("tganet", "number", "one", {"multiple"}),
        ("tganet", "number", "multiple", {"one"}),
        ("tganet", "size", "large", {"small"}),
        ("tganet", "size", "medium", {"small", "large"}),
        ("medclipseg", "number", "multiple", {"single"}),
        ("fixed", "size", "large", {"tiny"}),
        ("fixed", "number", "nine", {"one", "two", "three", "four", "five"}),
    ],
)
def test_opposites_are_words_of_the_rule_set(
    name: str, attribute: str, word: str, wrong: set[str]
) -> None:
    """TGANet knows five words; none of its probes may hold a sixth."""
    rules = RULE_SETS[name]
    assert {opposite_of(rules, attribute, word, Stream.of(draw)) for draw in range(60)} == wrong


@pytest.mark.parametrize(
    ("name", "family"), [one for one in FAMILIES if one[0] in {"fixed", "medclipseg"}]
)
@pytest.mark.parametrize("count", [0, 2])
def test_a_class_that_is_a_plural_has_no_article_and_no_singular_verb(
    name: str, family: str, count: int
) -> None:
    """Lungs, vessels: "without any lungs", never "a lungs" or "no lungs is"."""
    told = attributes(count, number="two" if count else "no", **{"class": "lungs"})
    told = dataclasses.replace(told, plural="lungs")
    for prompt in made(name, family, told):
        assert not re.search(r"\ba lungs|lungs is\b|is no lungs", prompt.text), prompt


def test_uncommon_words_are_many_and_say_nothing_else() -> None:
    """At least a hundred, none of them a value of an attribute of any rule set."""
    assert len(set(UNCOMMON_WORDS)) == len(UNCOMMON_WORDS) >= 100
    for name in RULE_SETS:
        rules = RULE_SETS[name]
        values = {*rules.places.values(), *(one.word for one in (*rules.sizes, *rules.shapes))}
        assert not values & set(UNCOMMON_WORDS)
