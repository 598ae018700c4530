"""Panels drawn by matplotlib without a screen, for pages in light and dark and for print."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1b1e23"
"""Colour of text and lines; in an SVG the page's own text colour takes its place."""
_GRID: Final = "#8a8f98"
_COLOURS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f6bd8",
    "#8c6d31",
)
"""Okabe and Ito's palette less black and yellow, which vanish on dark and light, and two more."""
_MARKERS: Final = "osD^vPX*<>hd"
_STYLE: Final = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "svg.fonttype": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
}


@dataclass(frozen=True)
class Panel:
    """One drawn panel of a figure."""

    name: str
    """Of its files, unique within the figure."""
    title: str
    alt: str
    """What it shows, for those who cannot see it."""
    svg: str
    """One ``<svg>`` element that takes its text colour from the page."""
    png: bytes
    """The same on white, 200 dots per inch."""


@contextmanager
def panel_axes(width: float = 4.4, height: float = 3.1) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of `width` x `height` inches with one pair of axes in the house style."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        yield figure, figure.subplots()


def finished(figure: Figure, name: str, title: str, alt: str) -> Panel:
    """Return what was drawn as a panel; equal figures give equal bytes."""
    return Panel(name, title, alt, _svg(figure, name, alt), _png(figure))


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a colour and a marker for each name, so that they differ without colour too."""
    return {
        name: {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKERS[number % len(_MARKERS)],
        }
        for number, name in enumerate(names)
    }


def _svg(figure: Figure, name: str, alt: str) -> str:
    from html import escape

    from matplotlib import rc_context

    buffer = io.StringIO()
    # The salt names clip paths: two panels of one page must not share them.
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids of text and axes repeat from panel to panel, and nothing refers to them.
    text = re.sub(r'<g id="[A-Za-z]+[A-Za-z0-9_.]*"', "<g", text)
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    if size:
        text = text.replace(size.group(0), "", 1)
    labelled = f'<svg role="img" aria-label="{escape(alt, quote=True)}"'
    return text.replace("<svg", labelled, 1).strip()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
