"""The words of every shipped rule set are pinned to its version.

After an intended change of words or templates raise the `version` of the rule set, then add the
new texts with ``python -m tests.stages.prompt.test_prompt_goldens``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.stream import Stream
from stages.prompt.designs import prompts_of
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import word
from stages.prompt.wording.context import Context
from tests.stages.prompt.hand_written import attributes, empty_record, record, region

GOLDEN_FILE = Path(__file__).with_name("prompt_goldens.json")
STREAM = Stream.of("golden")
REPORT = "FINDINGS: Lungs are clear. IMPRESSION: No acute process."
CASES = {
    "one": attributes(report=REPORT),
    "three": attributes(
        3,
        number="three",
        size="small, large",
        location="top, left, center",
        tumor_type="malignant",
        report=REPORT,
    ),
    "none": attributes(0, number="no", report=REPORT),
}
RECORDS = {
    "disc": record(colour="pink"),
    "two": record(
        [0.0005, 0.2],
        ["top left", "right"],
        boxes=2,
        regions=[region(4), region(900, solidity=0.6)],
    ),
    "many": record([0.002] * 7, ["center"] * 7, boxes=7, regions=[region(16)] * 7),
    "empty": empty_record(),
}


def pinned(name: str) -> dict[str, Any]:
    """Return version, descriptions, prompts and words of one rule set."""
    rules = RULE_SETS[name]
    told = Context("polyp", metadata={"age": "40"}, answers={})
    return {
        "version": rules.version,
        "descriptions": {noun: list(texts) for noun, texts in rules.descriptions.items()},
        "prompts": {
            family: {
                case: [
                    f"{p.design}: {p.text}"
                    for p in prompts_of(rules, family, made, RECORDS["disc"], STREAM)
                ]
                for case, made in CASES.items()
            }
            for family in rules.families
        },
        "words": {
            case: dict(word(rules, measured, told).values) for case, measured in RECORDS.items()
        },
    }


@pytest.mark.parametrize("name", RULE_SETS)
def test_words_are_those_of_the_version(name: str) -> None:
    """Words change only together with the version of their rule set."""
    golden = json.loads(GOLDEN_FILE.read_text())
    assert name in golden, "pin the new rule set: python -m tests.stages.prompt.test_prompt_goldens"
    found = pinned(name)
    if found["version"] == golden[name]["version"]:
        assert found == golden[name], "words changed: raise the version of the rule set"
    assert found == golden[name], "pin the new words as the docstring of this file says"


def renew() -> None:
    """Pin the rule sets that are new or of another version; the others stay as they were."""
    golden = json.loads(GOLDEN_FILE.read_text()) if GOLDEN_FILE.exists() else {}
    for name in RULE_SETS:
        if golden.get(name, {}).get("version") != RULE_SETS[name].version:
            golden[name] = pinned(name)
    text = json.dumps(dict(sorted(golden.items())), indent=1, ensure_ascii=False)
    GOLDEN_FILE.write_text(text + "\n")


if __name__ == "__main__":
    renew()
