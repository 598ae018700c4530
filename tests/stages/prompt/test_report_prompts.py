"""Reports as prompts: whole, from the dataset's own metadata, and never made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.stream import Stream
from stages.prompt.attributes import ATTRIBUTES, KEYS, Attributes
from stages.prompt.audit import Seen, audit
from stages.prompt.designs.families import family_prompts
from stages.prompt.prompt_table import Worded, prompt_table, worded_from
from stages.prompt.published import read_published
from stages.prompt.published.parse import parse_prompts, parse_text
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import word
from stages.prompt.wording.context import Context
from tests.stages.prompt.hand_written import attributes, empty_record, record

FAMILY = "chest-xray-report"
REPORT = 'FINAL REPORT FINDINGS: Heart size is normal, but {a size} [sic] "nodule", no effusion.'
STREAM = Stream.of("test", "reports")
RULES = ("poudel", "fixed")


def worded(rules: str, metadata: dict[str, str], *, empty: bool = False) -> Attributes:
    """Return the attributes of a lung of which the dataset tells `metadata`."""
    measured = empty_record() if empty else record()
    return word(RULE_SETS[rules], measured, Context("lung", metadata=metadata))


def test_the_papers_attributes_are_fourteen() -> None:
    """The report stands beside a1 to a14, not among them."""
    assert len(ATTRIBUTES) == 14
    assert (*ATTRIBUTES, "report") == KEYS


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("rules", RULES)
def test_the_report_is_the_only_prompt(rules: str, empty: bool) -> None:
    """P0 is empty, P1 the text as it is, braces and brackets too, with or without a target."""
    found = worded(rules, {"report": REPORT}, empty=empty)
    assert found.origins["report"] == "metadata"
    prompts = family_prompts(RULE_SETS[rules], FAMILY, found, STREAM)
    assert [(p.design, p.text, p.chosen) for p in prompts] == [
        ("p0", "", True),
        ("p1", REPORT, True),
    ]


@pytest.mark.parametrize("rules", RULES)
def test_without_a_report_there_is_no_sentence(rules: str) -> None:
    """It is an error that names what is missing: an empty text would pass for P0."""
    with pytest.raises(DataError, match="the attribute 'report' is not known"):
        family_prompts(RULE_SETS[rules], FAMILY, worded(rules, {}), STREAM)


def test_the_table_keeps_report_and_origin() -> None:
    """They come back from it beside the attributes."""
    found = worded("fixed", {"report": REPORT})
    prompts = family_prompts(RULE_SETS["fixed"], FAMILY, found, STREAM)
    table = prompt_table([Worded(record(), 0, found, prompts)])
    assert table["report"].to_pylist() == [REPORT] * 2
    assert table["report_origin"].to_pylist() == ["metadata"] * 2
    (back,) = worded_from(table, [record()])
    assert back.attributes is not None
    assert back.attributes.values["report"] == REPORT
    assert back.prompts == prompts


def test_a_report_is_read_back() -> None:
    """From the prompts of its family; from a single text nothing is made out."""
    read = parse_prompts({"p0": "", "p1": REPORT}, FAMILY)
    assert read.values["report"] == REPORT
    assert parse_text(REPORT) == {}


def test_the_audit_takes_no_report_for_a_claim(tmp_path: Path) -> None:
    """What a report finds normal or absent is not the target, over whatever mask."""
    names = ("there", "empty")
    reports = ("No effusion, no consolidation; the heart size is within limits.", REPORT)
    entries = [
        {"img_name": f"{name}.png", "mask_name": f"{name}.png", "prompts": {"p0": "", "p1": text}}
        for name, text in zip(names, reports, strict=True)
    ]
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(entries))
    seen = [Seen(record()), Seen(empty_record())]
    found = audit(read_published(path), RULE_SETS["poudel"], seen)
    assert found.problems == ()


def test_a_class_alone_is_still_a_claim(tmp_path: Path) -> None:
    """P0 and P1 alone are no report where P1 names a class, or says that there is none."""
    entry = {"img_name": "a.png", "mask_name": "a.png", "prompts": {"p0": "", "p1": "no polyp"}}
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([entry]))
    found = audit(read_published(path), RULE_SETS["poudel"], [Seen(record())])
    assert [problem.kind for problem in found.problems] == ["no-object"]


def test_other_families_leave_the_report_out() -> None:
    """A known report changes no other prompt."""
    for name in RULES:
        rules = RULE_SETS[name]
        for family in rules.families.keys() - {FAMILY}:
            own, without = (
                family_prompts(rules, family, attributes(report=text), STREAM)
                for text in (REPORT, "")
            )
            assert own == without
