"""Which encoders are compared, and corrections for comparing many."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stages.evaluate.predictions import VIEW, System
from stages.evaluate.scoring import Row, number
from stages.evaluate.significance import benjamini_hochberg, holm
from stages.vocabulary import CLEAN


def comparable(systems: Iterable[System]) -> list[tuple[System, System]]:
    """Return the pairs that differ in their encoder alone, in the order given.

    Systems fitted on a part of the train split are left out: their seeds vary more than the
    images, which is what the tests are about.
    """
    groups: dict[System, list[System]] = {}
    for system in systems:
        if system.k is None and system.fraction is None:
            groups.setdefault(system._replace(encoder=""), []).append(system)
    return [
        (own, other)
        for group in groups.values()
        for position, own in enumerate(group)
        for other in group[position + 1 :]
    ]


def corrected(rows: Iterable[Row]) -> list[Row]:
    """Return rows with `p_holm`, `p_bh` and how many p-values were corrected together.

    Those are the rows of one way of classifying, over all datasets and pairs of encoders, with
    the same metric of the same kind: of the clean split, of single corrupted sets, or an aggregate.
    """
    rows = [dict(row) for row in rows]
    families: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        kind = row["corruption"] if row["corruption"] in {None, CLEAN} else "set"
        key = (*(row.get(name) for name in VIEW), row["metric"], kind)
        families.setdefault(key, []).append(row)
    for family in families.values():
        p = np.array([np.nan if row["p"] is None else row["p"] for row in family])
        adjusted = zip(holm(p), benjamini_hochberg(p), strict=True)
        for row, (by_holm, by_bh) in zip(family, adjusted, strict=True):
            row["p_holm"], row["p_bh"] = number(by_holm), number(by_bh)
            row["family"] = int((~np.isnan(p)).sum())
    return rows
