"""What prompts show at first sight: their family, and whether they say that a target is there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

REPORTS = "chest-xray-report"
"""Family of the prompts that are reports: they tell no attribute, and deny much that is no
target."""
_CLASS_WORDS = 8
"""Most words of a p1 that names a class, if with the kind of image."""

_DENIAL = re.compile(r"\s*(no|normal)\b", re.IGNORECASE)
_NORMAL = re.compile(r"\bnormal\b", re.IGNORECASE)
_CONTRAST = re.compile(r"\b(but|yet|although|though|however|despite)\b", re.IGNORECASE)


def says_none(text: str) -> bool:
    """Return whether `text` says that there is nothing: "No tumor ...", "... appears normal"."""
    return not says_both(text) and bool(_DENIAL.match(text) or _NORMAL.search(text))


def says_both(text: str) -> bool:
    """Return whether `text` says in one sentence that something is there and all is normal."""
    return bool(_NORMAL.search(text) and _CONTRAST.search(text))


def family_of(prompts: Mapping[str, Sequence[str]]) -> str:
    """Return the family of a row's prompts, which their keys and texts show."""
    if "p8" in prompts:
        return "photographic"
    if prompts.keys() == {"p0", "p1"} and _long(prompts["p1"]):
        return REPORTS
    texts = " ".join(text for variants in prompts.values() for text in variants).casefold()
    if "xray" in texts or "x-ray" in texts:
        return "chest-xray"
    if "breast ultrasound" in texts:
        return "breast-ultrasound"
    if "cardiac ultrasound" in texts:
        return "echocardiography"
    return "photographic"


def _long(texts: Sequence[str]) -> bool:
    return all(len(text.split()) > _CLASS_WORDS for text in texts)
