"""TGANet's words: number by boxes, size by the last box."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.errors import DataError
from pipeline.stream import Stream
from stages.prompt.designs.families import family_prompts
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import tganet
from stages.prompt.wording.context import Context
from tests.stages.prompt.hand_written import empty_record, record, region

RULES = RULE_SETS["tganet"]
POLYP = Context("polyp", metadata={"view": "frontal"}, answers={"shape": "round"})


@pytest.mark.parametrize(
    ("share", "word"),
    [(0.0, "small"), (0.0999, "small"), (0.10, "medium"), (0.2999, "medium"), (0.30, "large")],
)
def test_size(share: float, word: str) -> None:
    """The share of the last box is small below 0.10, medium below 0.30, else large."""
    assert tganet.word(RULES, record(last_box_share=share), POLYP).values["size"] == word


@pytest.mark.parametrize(
    ("boxes", "word", "text"),
    [(1, "one", "one small polyp"), (2, "multiple", "multiple small polyps")],
)
def test_number(boxes: int, word: str, text: str) -> None:
    """Exactly one box is "one", more are "multiple", whatever the number of regions."""
    words = tganet.word(RULES, record(boxes=boxes), POLYP)
    assert words.values == {"class": "polyp", "number": word, "size": "small"}
    prompts = family_prompts(RULES, "photographic", words, Stream.of(0))
    assert [p.text for p in prompts if p.design == "p4"] == [text]


def test_empty_mask() -> None:
    """An empty mask, which stops TGANet's code, is absent."""
    words = tganet.word(RULES, empty_record(), POLYP)
    assert (words.count, words.values["number"]) == (0, "no")
    prompts = family_prompts(RULES, "photographic", words, Stream.of(0))
    assert [p.text for p in prompts] == ["", *["no polyp"] * 4]


def test_target_without_a_box() -> None:
    """What is too small for a box is named without number and size, never denied."""
    measured = record(boxes=0, regions=[region(1), region(1)])
    words = tganet.word(RULES, measured, POLYP)
    assert (words.count, words.values) == (2, {"class": "polyp"})
    prompts = family_prompts(RULES, "photographic", words, Stream.of(0))
    assert [p.text for p in prompts] == ["", "polyp", "polyp", "polyps", "polyps"]


def test_record_without_the_measures() -> None:
    """A record of other measures is refused, not guessed at."""
    with pytest.raises(DataError, match="a, polyp"):
        tganet.word(RULES, dataclasses.replace(record(), tganet=None), POLYP)
