"""What a published prompt file says of each of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["medvlsm", "medclipseg"]
Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Dispute:
    """An attribute for which prompts of one record have different words."""

    attribute: str
    words: tuple[str, ...]
    """Each word with a prompt that has it: `p4: small`."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What the texts of one target say."""

    attributes: Mapping[str, str]
    disputes: tuple[Dispute, ...] = ()
    strange: tuple[str, ...] = ()
    """Prompts that do not follow the published templates."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One target of one image."""

    row: int
    """Position in the file from 1, or line of the sheet."""
    image_name: str
    mask_name: str
    prompts: Mapping[str, tuple[str, ...]]
    """Texts of each prompt by its name, without white space around them; of a workbook, the only
    caption by the name of its design."""
    box: Box | None
    """x1, y1, x2, y2 in pixels; W, H, 0, 0 where the image has no target; None: not published."""
    text: str | None
    """The caption of a workbook."""
    stated: Stated
    """What the prompts say, as `stages.prompt.published.parse` reads them."""
    family: str
    """Kind of prompts, as their names and texts show: `photographic`, `breast-ultrasound`, ..."""
    empty: bool
    """Whether they say that the image does not show the target."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Attribute to the published word; what is not stated is absent."""
        return self.stated.attributes


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A published file of prompts."""

    path: Path
    form: Form
    design: str
    """Of a workbook, as its name says: `original`, ...; empty for medvlsm's JSON."""
    rows: tuple[PublishedRow, ...]
