"""One published file beside another: who is in both, and what both say of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from stages.prompt.audit.duplicates import key_of, stem
from stages.prompt.audit.problems import Problem, Tally, folded, same, tallies

if TYPE_CHECKING:
    from stages.prompt.published.rows import PublishedFile, PublishedRow

Relation: TypeAlias = Literal["splits", "datasets", "designs"]
"""What the two files are to each other: splits of one dataset, which share no sample; two
datasets, which share no image though file names may be the same; or two descriptions of the same
samples."""

CHANCE = 0.001
"""Above this probability, equal texts of two datasets are put down to chance."""

_SAID = ("class", "number", "size", "location", "shape", "colour", "tumor_type")
_Pair = tuple["PublishedRow", str, "PublishedRow"]


@dataclass(frozen=True, slots=True)
class Partners:
    """How two files compare."""

    relation: Relation
    shared: int
    """Rows whose name the other file has too."""
    equal: int
    """Those of them with the same text."""
    without_partner: int
    """Rows whose name the other file lacks."""
    against_only: int
    """Rows of the other file whose name this one lacks."""
    tallies: tuple[Tally, ...]
    """Of the shared rows: attributes that both state, and how many agree."""

    @property
    def different(self) -> int:
        """Shared rows with another text."""
        return self.shared - self.equal


def relation_of(file: PublishedFile, against: PublishedFile) -> Relation:
    """Return what two files are to each other, as the folders they lie in and their names say.

    Workbooks of one split in one folder are designs; other files in one folder are splits; files
    of different folders are of different datasets.
    """
    if file.path.resolve().parent != against.path.resolve().parent:
        return "datasets"
    splits = [one.path.stem.partition("_text")[0] for one in (file, against)]
    workbooks = file.form == against.form == "medclipseg"
    return "designs" if workbooks and splits[0] == splits[1] else "splits"


def partners(
    file: PublishedFile, names: Sequence[str], against: PublishedFile, relation: Relation
) -> tuple[list[Problem], Partners]:
    """Return what is wrong with the rows of `file` in view of `against`, and a summary.

    Rows belong together by the name of the image, and of the mask where an image has several.
    """
    by_image = _one_target(file) and _one_target(against)
    others = {_key(row, by_image=by_image): row for row in against.rows}
    own = {_key(row, by_image=by_image) for row in file.rows}
    pairs: list[_Pair] = []
    alone: list[tuple[PublishedRow, str]] = []
    for row, name in zip(file.rows, names, strict=True):
        other = others.get(_key(row, by_image=by_image))
        if other is None:
            alone.append((row, name))
        else:
            pairs.append((row, name, other))
    equal = [pair for pair in pairs if _equal(pair[0], pair[2])]
    problems = list(_problems(relation, pairs, equal, against))
    if relation != "splits":
        problems += [
            Problem("without-partner", name, "", row.image_name, f"not in {against.path.name}")
            for row, name in alone
        ]
    compared, found = _said(pairs)
    if relation == "designs":
        problems += found
    return problems, Partners(
        relation, len(pairs), len(equal), len(alone), len(others.keys() - own), compared
    )


def _problems(
    relation: Relation, pairs: Sequence[_Pair], equal: Sequence[_Pair], against: PublishedFile
) -> Iterator[Problem]:
    if relation == "splits":
        for row, name, other in pairs:
            place = f"row {other.row} of {against.path.name}"
            yield Problem("cross-split", name, "name", f"row {row.row}", place)
    elif relation == "datasets" and _by_chance(pairs, len(equal), against.rows) < CHANCE:
        for row, name, other in equal:
            place = f"row {other.row} of {against.path.parent.name}/{against.path.name}"
            yield Problem("copied-text", name, "", _fullest(row), place)


def _said(pairs: Sequence[_Pair]) -> tuple[tuple[Tally, ...], list[Problem]]:
    """Return a tally of what both files state, and what they state differently."""
    stated = Counter(name for row, _, _ in pairs for name in row.attributes)
    agreed: dict[str, list[bool]] = {}
    problems: list[Problem] = []
    for row, name, other in pairs:
        if row.empty != other.empty:
            yes, no = "there is something", "there is nothing"
            said = (no, yes) if row.empty else (yes, no)
            problems.append(Problem("differs", name, "class", *said))
        for attribute in _SAID:
            one, two = row.attributes.get(attribute), other.attributes.get(attribute)
            if one is None or two is None:
                continue
            right = same(attribute, one, two)
            agreed.setdefault(attribute, []).append(right)
            if not right:
                problems.append(Problem("differs", name, attribute, one, two))
    return tallies(stated, agreed), problems


def _by_chance(pairs: Sequence[_Pair], equal: int, others: Sequence[PublishedRow]) -> float:
    """Return how probable so many equal texts are if each were of any row of the other file.

    Of a text that the other file repeats, equality says little. The binomial tail at the mean
    share of the other file's rows, partners left out, that equal a shared row.
    """
    if not equal:
        return 1.0
    whole = _whole(pairs[0][0], pairs[0][2])
    texts = Counter(unit for row in others for unit in set(_units(row, whole=whole)))
    rest = max(len(others) - 1, 1)
    shares = [
        (sum(texts[unit] for unit in set(_units(row, whole=whole))) - _equal(row, other)) / rest
        for row, _, other in pairs
    ]
    share = min(sum(shares) / len(shares), 1.0)
    n = len(pairs)
    tail = (math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(equal, n + 1))
    return sum(tail)


def _equal(row: PublishedRow, other: PublishedRow) -> bool:
    """Return whether two rows say the same; a caption is looked for among all prompts."""
    whole = _whole(row, other)
    return not set(_units(row, whole=whole)).isdisjoint(_units(other, whole=whole))


def _whole(row: PublishedRow, other: PublishedRow) -> bool:
    """Return whether all prompts of two rows must be equal, because neither is one caption."""
    return row.text is None and other.text is None


def _units(row: PublishedRow, *, whole: bool) -> list[str]:
    """Return what of a row is looked for in another: all its prompts as one, or each text."""
    texts = [folded(text) for texts in row.prompts.values() for text in texts if text]
    return ["\n".join(texts)] if whole else texts


def _fullest(row: PublishedRow) -> str:
    return max((text for texts in row.prompts.values() for text in texts), key=len)


def _one_target(file: PublishedFile) -> bool:
    """Return whether no image of the file has several masks."""
    masks: dict[str, str] = {}
    return all(
        masks.setdefault(stem(row.image_name), stem(row.mask_name)) == stem(row.mask_name)
        for row in file.rows
    )


def _key(row: PublishedRow, *, by_image: bool) -> tuple[str, ...]:
    return (stem(row.image_name),) if by_image else key_of(row)
