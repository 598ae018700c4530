"""Attributes of a target in words, and the prompts made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Origin: TypeAlias = Literal["measured", "answers", "metadata", "declared", "published"]
"""Where a word comes from: the measured record, a file of (VQA) answers, the dataset's own
metadata, the manifest or command line, a published prompt file."""

ATTRIBUTES = (
    "class",  # a1 of Poudel et al., Table 2
    "shape",  # a2
    "colour",  # a3
    "size",  # a4
    "number",  # a5
    "location",  # a6
    "description",  # a7, general class information
    "view",  # a8
    "pathology",  # a9
    "cycle",  # a10, cardiac cycle
    "gender",  # a11
    "age",  # a12
    "quality",  # a13, image quality
    "tumor_type",  # a14
)
"""The 14 attributes a1 to a14, in the paper's order."""
REPORT = "report"
"""The free text that was written about the image, whole (Poudel et al., appendix F.2)."""
KEYS = (*ATTRIBUTES, REPORT)
"""Everything that can be known of a target in words: keys of `Attributes.values`."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """One target of one image in words."""

    values: Mapping[str, str]
    """Attribute, or report, to word (see `KEYS`); one that is not known is absent."""
    origins: Mapping[str, Origin]
    """Where each word comes from; the same keys."""
    count: int
    """How many objects the number says; 0 for none."""
    descriptions: tuple[str, ...] = ()
    """Every general description of the class (a7), of which a prompt takes one."""
    plural: str = ""
    """Plural of the class, where the rules use it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text for one target of one image."""

    design: str
    """`p0` to `p9`; `original`, `underdescriptive`, `overdescriptive`, `contradictory`,
    `missing_location`; or `<prompt>-<attribute>-random` and `<prompt>-<attribute>-opposite`."""
    variant: int
    """Position among the templates of the design, from 0."""
    chosen: bool
    """Whether the seeded choice among the variants fell on this one."""
    text: str
    change: Literal["", "added", "removed", "falsified"] = ""
    """What the design did to the attributes of the record; empty if it is true to them."""
    changed: tuple[str, ...] = field(default=())
    """The attributes that were added, removed or falsified."""
