"""What is wrong with a published file of prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.prompt.audit.contradictions import contradictions, strange
from stages.prompt.audit.duplicates import (
    named_twice,
    pictured_in_both,
    pictured_twice,
    pictures_of,
    stem,
)
from stages.prompt.audit.measured import against_masks
from stages.prompt.audit.partners import Partners, Relation, partners, relation_of
from stages.prompt.audit.problems import CANDIDATES, KINDS, Problem, Tally
from stages.prompt.audit.seen import Picture, Seen

if TYPE_CHECKING:
    from stages.prompt.published.rows import PublishedFile
    from stages.prompt.schema import RuleSet

__all__ = ["KINDS", "Audit", "Other", "Picture", "Problem", "Relation", "Seen", "Tally", "audit"]


@dataclass(frozen=True, slots=True)
class Other:
    """A second published file, to compare with."""

    file: PublishedFile
    relation: Relation | None = None
    """What it is to the first; None: as folders and names say."""
    seen: Sequence[Seen] | None = None
    """What was seen of its rows' files."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    problems: tuple[Problem, ...]
    rows: int
    tallies: tuple[Tally, ...]
    """Of the comparison with the masks; nothing is compared where none were given."""
    partners: Partners | None
    """Of the comparison with a second file."""

    @property
    def kinds(self) -> dict[str, int]:
        """Number of problems of each kind that was found."""
        found = Counter(problem.kind for problem in self.problems)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    @property
    def proven(self) -> int:
        """Number of problems that are more than candidates."""
        return sum(problem.kind not in CANDIDATES for problem in self.problems)

    def summary(self) -> dict[str, Any]:
        """Return counts and tallies as JSON values."""
        return {
            "rows": self.rows,
            "kinds": self.kinds,
            "attributes": [_tally(one) for one in self.tallies],
            "against": None if self.partners is None else _partners(self.partners),
        }


def audit(
    file: PublishedFile,
    rules: RuleSet | None = None,
    seen: Sequence[Seen] | None = None,
    other: Other | None = None,
) -> Audit:
    """Return everything that is wrong with `file`.

    Parameters
    ----------
    file : PublishedFile
    rules : RuleSet, optional
        By which measured records are worded, to be compared with what was published.
    seen : sequence of Seen, optional
        What was seen of the image and mask of each row.
    other : Other, optional
        Another file: another split, another dataset, or other descriptions of the same samples.
    """
    looked = seen if seen is not None else [Seen()] * len(file.rows)
    names = _names(file)
    problems = list(_faults(names, looked))
    problems += named_twice(file, names)
    problems += pictured_twice(file, looked)
    for row, name, one in zip(file.rows, names, looked, strict=True):
        problems += contradictions(row, name, None if one.record else one.size)
    problems += strange(file, names)
    measured, tallied = against_masks(file, names, looked, rules)
    problems += measured
    summary = None
    if other is not None:
        found, summary = _beside(file, names, looked, other)
        problems += found
    order = list(KINDS)
    problems.sort(key=lambda problem: order.index(problem.kind))
    return Audit(tuple(problems), len(file.rows), tallied, summary)


def _names(file: PublishedFile) -> list[str]:
    """Return what each row is called: its image, or its mask where images have several."""
    masks: dict[str, set[str]] = {}
    for row in file.rows:
        masks.setdefault(row.image_name, set()).add(row.mask_name)
    several = any(len(found) > 1 for found in masks.values())
    return [row.mask_name if several else row.image_name for row in file.rows]


def _faults(names: Sequence[str], seen: Sequence[Seen]) -> Iterator[Problem]:
    for name, looked in zip(names, seen, strict=True):
        for kind, detail in looked.faults:
            yield Problem(kind, name, "", "", detail)


def _beside(
    file: PublishedFile, names: Sequence[str], seen: Sequence[Seen], other: Other
) -> tuple[list[Problem], Partners]:
    relation = other.relation or relation_of(file, other.file)
    problems, summary = partners(file, names, other.file, relation)
    if relation != "designs" and other.seen is not None:
        named = {stem(one.sample) for one in problems if one.kind == "cross-split"}
        pictures = pictures_of(file, seen), pictures_of(other.file, other.seen)
        problems += pictured_in_both(*pictures, named)
    return problems, summary


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "attribute": tally.attribute,
        "stated": tally.stated,
        "compared": tally.compared,
        "agreeing": tally.agreeing,
        "disagreeing": tally.disagreeing,
    }


def _partners(found: Partners) -> dict[str, Any]:
    return {
        "relation": found.relation,
        "shared": found.shared,
        "equal": found.equal,
        "different": found.different,
        "without_partner": found.without_partner,
        "against_only": found.against_only,
        "attributes": [_tally(one) for one in found.tallies],
    }
