"""The published words, branch by branch."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pipeline.errors import DataError
from stages.prompt.record import Record
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import poudel
from stages.prompt.wording.context import Context
from stages.prompt.wording.shapes import shape_word
from tests.stages.prompt.hand_written import empty_record, record, region

RULES = RULE_SETS["poudel"]
POLYP = Context("polyp")


def worded(measured: Record, attribute: str, context: Context = POLYP) -> str | None:
    """Return the word for one attribute."""
    return poudel.word(RULES, measured, context).values.get(attribute)


@pytest.mark.parametrize(
    ("coverage", "word"),
    [
        (0.0, None),
        (0.0001, None),
        (math.nextafter(0.0001, 1), "tiny"),
        (math.nextafter(0.001, 0), "tiny"),
        (0.001, "small"),
        (0.08, "small"),
        (math.nextafter(0.08, 1), "medium"),
        (0.30, "medium"),
        (math.nextafter(0.30, 1), "large"),
        (1.0, "large"),
    ],
)
def test_size_thresholds(coverage: float, word: str | None) -> None:
    """0.08 and 0.30 belong to the smaller word, 0.001 to the larger, 0.0001 to none."""
    assert worded(record([coverage]), "size") == word


def test_sizes_are_listed_once_in_fixed_order() -> None:
    """Size words of several components come from tiny to large, each once; specks add none."""
    measured = record([0.4, 0.02, 0.0005, 0.02, 0.00001], ["center"] * 5)
    assert worded(measured, "size") == "tiny, small, large"


def test_specks_count_and_have_places() -> None:
    """Components without a size word still count and are located, as published."""
    words = poudel.word(RULES, record([0.00001, 0.02], ["top left", "bottom"]), POLYP)
    assert (words.values["number"], words.count) == ("two", 2)
    assert words.values["location"] == "top left, bottom"
    assert words.values["size"] == "small"


@pytest.mark.parametrize(("count", "word"), [(1, "one"), (13, "thirteen"), (34, "thirty-four")])
def test_number_words(count: int, word: str) -> None:
    """The number is the raw count of components in words."""
    measured = record([0.002] * count, ["center"] * count)
    assert worded(measured, "number") == word
    assert worded(measured, "location") == ", ".join(["center"] * count)


def test_shape_and_colour_are_measured() -> None:
    """Without answers shape is that of the largest region, colour that of the whole target."""
    ragged, disc = region(5, solidity=0.5), region(500)
    measured = record(regions=[ragged, disc, ragged], colour="pink")
    words = poudel.word(RULES, measured, POLYP)
    assert (words.values["shape"], words.values["colour"]) == ("round", "pink")
    assert words.origins == {
        "class": "declared",
        **dict.fromkeys(("number", "size", "location", "shape", "colour"), "measured"),
    }


def test_answers_come_first() -> None:
    """Answers of a VQA model are taken as they are, and told apart from what is measured."""
    context = Context("polyp", answers={"shape": "it is round"})
    words = poudel.word(RULES, record(colour="pink"), context)
    assert (words.values["shape"], words.origins["shape"]) == ("it is round", "answers")
    assert (words.values["colour"], words.origins["colour"]) == ("pink", "measured")


def test_gray_image() -> None:
    """An image without colours gives no colour word."""
    assert worded(record(), "colour") is None


def test_metadata() -> None:
    """The dataset's own attributes are words; an age in digits is spelt out; others are not."""
    told = {"tumor_type": "benign", "age": "73", "view": "", "size": "huge", "hospital": "X"}
    words = poudel.word(RULES, record(), Context("tumor", metadata=told))
    assert words.values["tumor_type"] == "benign"
    assert words.values["age"] == "seventy-three"
    assert words.values["size"] == "small"
    assert words.origins["age"] == "metadata"
    assert not {"view", "hospital"} & words.values.keys()


def test_descriptions_and_plural() -> None:
    """General descriptions are the published ones of the class, or those given."""
    published = poudel.word(RULES, record(), POLYP)
    assert len(published.descriptions) == 5
    assert published.descriptions[4].endswith("from a mucuos membrane")
    assert published.plural == "polyps"
    given = Context("oddity", plural="oddments", descriptions=("odd",))
    own = poudel.word(RULES, record(), given)
    assert (own.descriptions, own.plural) == (("odd",), "oddments")
    assert poudel.word(RULES, record(), Context("oddity")).descriptions == ()


def test_published_keywords_have_five_descriptions() -> None:
    """Polyp, skin melanoma and foot ulcer have five general descriptions each."""
    assert {noun: len(set(texts)) for noun, texts in RULES.descriptions.items()} == {
        "polyp": 5,
        "skin melanoma": 5,
        "foot ulcer": 5,
    }


def test_empty_mask() -> None:
    """An empty mask has no size, place, shape or colour, and counts nothing."""
    context = Context("polyp", answers={"shape": "round"}, metadata={"view": "frontal"})
    words = poudel.word(RULES, empty_record(), context)
    assert words.count == 0
    assert words.values == {"class": "polyp", "view": "frontal", "number": "no"}


def test_mask_below_the_published_threshold() -> None:
    """What the scripts binarise away is absent to them, though the mask is not empty."""
    assert poudel.word(RULES, record([], []), POLYP).count == 0


def test_record_without_the_measures() -> None:
    """A record of other measures is refused, not guessed at."""
    with pytest.raises(DataError, match="a, polyp"):
        poudel.word(RULES, dataclasses.replace(record(), poudel=None), POLYP)


@pytest.mark.parametrize(
    ("eccentricity", "solidity", "circularity", "word"),
    [
        (0.1, 0.98, 0.95, "round"),
        (0.66, 0.98, 0.9, "round"),
        (0.67, 0.98, 0.9, "oval"),
        (0.0, 0.99, 0.60, "triangular"),
        (0.0, 0.99, 0.79, "round"),
        (0.95, 0.97, 0.5, "oval"),
        (0.1, 0.85, 0.9, "irregular"),
        (0.0, 1.0, 12.57, "round"),
    ],
)
def test_shape_words(eccentricity: float, solidity: float, circularity: float, word: str) -> None:
    """Shape words follow from eccentricity, solidity and circularity; every region has one."""
    found = region(eccentricity=eccentricity, solidity=solidity, circularity=circularity)
    assert shape_word(RULES.shapes, found) == word


def test_shape_rules_may_look_at_holes() -> None:
    """Holes are one less the Euler number; without a rule that fits there is no word."""
    ring = RULES.shapes[0].model_copy(update={"word": "ring", "holes": (1, 1), "solidity": (0, 1)})
    assert shape_word([ring], region(euler=0)) == "ring"
    assert shape_word([ring], region(euler=1)) == ""
