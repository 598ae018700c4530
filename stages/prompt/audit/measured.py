"""Published attributes against those that the masks give by the same rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stages.prompt.audit.problems import BOX, Problem, Tally, same, tallies
from stages.prompt.published.claims import REPORTS
from stages.prompt.record import EMPTY, FAILED, OK, Record

if TYPE_CHECKING:
    from stages.prompt.attributes import Attributes
    from stages.prompt.audit.seen import Seen
    from stages.prompt.published.rows import PublishedFile, PublishedRow
    from stages.prompt.schema import RuleSet

COMPARED: Mapping[str, tuple[str, ...]] = {
    "poudel": ("number", "size", "location", BOX),
    "tganet": ("number", "size"),
    "regions": ("number", "size", "location", "shape", "colour"),
}
"""Attributes that a mask decides, by the algorithm of the rule set; in the published prompts shape
and colour are a VQA model's answers."""


def against_masks(
    file: PublishedFile, names: Sequence[str], seen: Sequence[Seen], rules: RuleSet | None
) -> tuple[list[Problem], tuple[Tally, ...]]:
    """Return disagreements of the rows of `file` with their masks, and a tally per attribute.

    An attribute that a row of a JSON file leaves out while others state it is compared as well.

    Parameters
    ----------
    file : PublishedFile
    names : sequence of str
        What each row is called in problems.
    seen : sequence of Seen
        Of each row.
    rules : RuleSet or None
        By which the records are worded; None: nothing is compared.
    """
    stated = Counter(name for row in file.rows for name in row.attributes)
    stated[BOX] = sum(row.box is not None for row in file.rows)
    usual = set(+stated) if file.form == "medvlsm" else set()
    problems: list[Problem] = []
    agreed: dict[str, list[bool]] = {}
    for row, name, looked in zip(file.rows, names, seen, strict=True):
        if rules is None or looked.record is None or looked.record.status == FAILED:
            continue
        wrong = _claim(row, name, looked.record)
        if wrong is not None:
            problems.append(wrong)
            continue
        for attribute, said, found in _pairs(row, looked.record, rules, usual):
            right = same(attribute, said, found)
            agreed.setdefault(attribute, []).append(right)
            if not right:
                problems.append(Problem("disagreement", name, attribute, said, found))
    return problems, tallies(+stated, agreed)


def _claim(row: PublishedRow, name: str, record: Record) -> Problem | None:
    """Return the problem of prompts that say something is there and nothing is, or the reverse."""
    if row.family == REPORTS:
        return None
    text = next((text for texts in row.prompts.values() for text in texts if text), "")
    if row.empty and record.status == OK and record.whole is not None:
        found = f"{record.whole.area} pixels in {len(record.regions)} regions"
        return Problem("no-object", name, "class", text, found)
    if text and not row.empty and record.status == EMPTY:
        return Problem("no-object", name, "class", text, "an empty mask")
    return None


def _pairs(
    row: PublishedRow, record: Record, rules: RuleSet, usual: set[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield attribute, published word and measured word of all that can be compared."""
    words = _worded(row, record, rules)
    for attribute in COMPARED[rules.algorithm]:
        if attribute == BOX:
            if row.box is not None and record.poudel is not None:
                yield BOX, _shown(row.box), _shown(record.poudel.box)
            continue
        said = row.attributes.get(attribute)
        if row.empty or (said is None and attribute not in usual):
            continue
        if attribute == "colour" and words.values.get(attribute) is None:
            continue  # there was no image to see it in
        yield attribute, said or "", words.values.get(attribute, "")


def _worded(row: PublishedRow, record: Record, rules: RuleSet) -> Attributes:
    from stages.prompt.wording import word
    from stages.prompt.wording.context import Context

    noun = row.attributes.get("class") or "object"
    return word(rules, record, Context(noun, family=row.family))


def _shown(box: tuple[int, int, int, int]) -> str:
    return ", ".join(map(str, box))
