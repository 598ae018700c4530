"""What a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.drawing import Panel


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str
    strong: bool = False
    """Whether it is one of the answers that most readers came for."""


@dataclass(frozen=True)
class Table:
    """Text cells under headings."""

    name: str
    """Of its files."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    folded: bool = False
    """Whether the page shows it only when asked to."""


@dataclass(frozen=True)
class Heat:
    """A table of numbers whose cells are shaded by their value."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    values: tuple[tuple[float | None, ...], ...]
    """From 0 (not shaded) to 1; one per cell, None where a cell has no number."""
    notes: tuple[str, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """Panels that belong together."""

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Picture:
    """A raster picture."""

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    """In full, for the file."""
    small: bytes
    """As the page shows it, JPEG."""
    svg: bytes | None = None
    """The same as lines, for the file, where it is drawn and not photographed."""


@dataclass(frozen=True)
class Foldable:
    """Lines of little interest to most."""

    title: str
    lines: tuple[str, ...]


Item = Paragraph | Table | Heat | Figure | Picture | Foldable


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own."""

    anchor: str
    title: str
    items: list[Item] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str
