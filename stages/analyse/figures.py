"""Figures of spectra and densities: one picture per suite, drawn by matplotlib without a screen."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.analyse.densities import LEVELS, pooled
from stages.analyse.measure import Analysed, AnalysedSet
from stages.analyse.spectra import reduced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Form: TypeAlias = Literal["png", "svg"]
DPI = 100
_MAP_SIDE = 64  # cells of a drawn map; more would not be seen
_ALL_BUT_OUTLIERS = 99.5  # percentile that a scale of differences reaches to
_BESIDE = 4  # grey levels left and right of a panel, so that a peak at black or white shows
_LOG = "log10(1 + |X|)"


def profile_figure(suite: str, groups: Sequence[Analysed], form: Form = "png") -> bytes:
    """Draw mean spectra by frequency: magnitudes above, differences from clean below.

    A line is the mean over the severities of one corruption, a column one split.
    """
    figure, axes = grid(2, len(groups), 3.4, 2.9, 2.0)
    colours = _colours(groups)
    for group, (above, below) in zip(groups, axes.T, strict=True):
        clean = group.clean.spectrum.profile
        frequency, of_clean = clean.frequency[1:], clean.log_magnitude[1:]
        above.plot(frequency, of_clean, color="black", lw=2, label="clean", zorder=3)
        below.axhline(0, color="black", lw=2)
        for name, sets in group.corruptions.items():
            mean = np.mean([one.spectrum.profile.log_magnitude[1:] for one in sets], axis=0)
            above.plot(frequency, mean, color=colours[name], lw=1.2, label=readable(name))
            below.plot(frequency, mean - of_clean, color=colours[name], lw=1.2)
        above.set_title(_titled(group), fontsize=9)
        below.set_xlabel("frequency, cycles/pixel")
        for panel in (above, below):
            panel.set_xlim(0, frequency[-1])
            panel.grid(visible=True, lw=0.3)
    axes[0, 0].set_ylabel(f"mean {_LOG}")
    axes[1, 0].set_ylabel("difference from clean")
    _legend(figure, colours)
    figure.suptitle(f"{suite}: DCT spectra of the luminance, {_severities(groups)}")
    return rendered(figure, form)


def map_figure(suite: str, groups: Sequence[Analysed]) -> bytes:
    """Draw mean spectra by both frequencies: clean ones, then differences from them.

    A row is one split with a scale of its own for its differences, a panel one corruption, mean
    over its severities.
    """
    figure, axes = grid(len(groups), 1 + _most(groups), 1.9, 2.1, 1.6)
    for group, (first, *others) in zip(groups, axes, strict=True):
        clean = _map(group.clean)
        shown = first.imshow(clean, cmap="viridis", extent=(0, 0.5, 0.5, 0))
        figure.colorbar(shown, ax=first, shrink=0.7)
        first.set_title(f"{_titled(group)}\nclean, mean {_LOG}", fontsize=7)
        first.set_ylabel("vertical, cycles/pixel", fontsize=7)
        changes = {
            name: np.mean([_map(one) for one in sets], axis=0) - clean
            for name, sets in group.corruptions.items()
        }
        largest = np.percentile(np.abs(np.stack(list(changes.values()))), _ALL_BUT_OUTLIERS)
        scale = {"cmap": "RdBu_r", "vmin": -(largest or 1), "vmax": largest or 1}
        drawn = [
            panel.imshow(changes[name], extent=(0, 0.5, 0.5, 0), **scale)
            for panel, name in panels_of(others, changes)
        ]
        figure.colorbar(drawn[-1], ax=others[len(changes) - 1], shrink=0.7)
    for panel in axes.ravel():
        panel.tick_params(labelsize=6)
    title = f"{suite}: DCT spectra of the luminance and their difference from clean"
    figure.suptitle(f"{title}, {_severities(groups)}")
    return rendered(figure, "png")


def density_figure(suite: str, groups: Sequence[Analysed], form: Form = "png") -> bytes:
    """Draw grey-level densities of all channels: clean as an area, a line per severity.

    A row is one split, a panel one corruption; all panels of a row share their scale.
    """
    numbers = {one.severity for group in groups for one in group.sets}
    colours = {f"severity {n}": shade for n, shade in shades(numbers).items()}
    figure, axes = grid(len(groups), _most(groups), 2.4, 2.0, 1.4)
    levels = np.arange(LEVELS)
    for group, row in zip(groups, axes, strict=True):
        clean, lowest = pooled(group.clean.counts), _floor(group)
        for panel, name in panels_of(row, group.corruptions):
            panel.fill_between(levels, lowest, clean, where=clean > lowest, color="0.75", lw=0)
            for one in group.corruptions[name]:
                share = pooled(one.counts)
                line = np.where(share > 0, share, np.nan)
                panel.plot(levels, line, color=colours[f"severity {one.severity}"], lw=0.9)
            panel.set_yscale("log")
            panel.set_ylim(lowest, 1)
            panel.set_xlim(-_BESIDE, LEVELS - 1 + _BESIDE)
            panel.tick_params(labelsize=7)
            panel.set_xlabel("grey level", fontsize=7)
        row[0].set_ylabel(f"{_titled(group)}\nshare of pixels", fontsize=8)
    _legend(figure, {"clean": "0.75", **colours})
    figure.suptitle(f"{suite}: grey-level densities, all channels")
    return rendered(figure, form)


def grid(
    rows: int, columns: int, width: float, height: float, head: float
) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure of panels, each `width` x `height` inches, and `head` inches beside them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (max(7.0, columns * width + head), rows * height + head)
    figure = Figure(size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def shades(severities: Iterable[int]) -> dict[int, Any]:
    """Return a colour for each severity, in order."""
    from matplotlib import colormaps

    numbers = sorted(set(severities))
    return dict(zip(numbers, colormaps["plasma"](np.linspace(0, 0.85, len(numbers))), strict=True))


def _most(groups: Sequence[Analysed]) -> int:
    """Return the largest number of corruptions of a split."""
    return max(len(group.corruptions) for group in groups)


def panels_of(panels: Sequence[Any], corruptions: Iterable[str]) -> Iterator[tuple[Any, str]]:
    """Yield a panel for each corruption, with its title; hide what is left."""
    for panel, name in itertools.zip_longest(panels, corruptions):
        if name is None:
            panel.set_axis_off()
        else:
            panel.set_title(readable(name), fontsize=8)
            yield panel, name


def _legend(figure: Figure, colours: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    shown = {"clean": "black", **colours}
    lines = [Line2D([], [], color=colour, lw=2) for colour in shown.values()]
    figure.legend(lines, [readable(name) for name in shown], loc="outside right upper")


def _colours(groups: Sequence[Analysed]) -> dict[str, Any]:
    """Return a colour for each corruption."""
    from matplotlib import colormaps

    names = list(dict.fromkeys(name for group in groups for name in group.corruptions))
    palette = colormaps["tab10" if len(names) <= 10 else "tab20"]
    return {name: palette(number % palette.N) for number, name in enumerate(names)}


def _titled(group: Analysed) -> str:
    """Return the split with how many images it has."""
    return f"{group.clean.titled}\nn = {group.clean.measured.images} images per set"


def _severities(groups: Sequence[Analysed]) -> str:
    numbers = sorted({one.severity for group in groups for one in group.sets})
    if len(numbers) == 1:
        return f"severity {numbers[0]}"
    return f"mean over severities {', '.join(map(str, numbers))}"


def _map(one: AnalysedSet) -> NDArray[np.float64]:
    return reduced(one.spectrum.map, _MAP_SIDE)


def _floor(group: Analysed) -> float:
    """Return the lower end of a row's scale: half of one pixel of all images, at least 1e-6."""
    return max(1e-6, 0.5 / int(group.clean.counts.sum()))


def readable(name: str) -> str:
    """Return the name of a corruption or of clean images in words."""
    return name.replace("_", " ")


def rendered(figure: Figure, form: Form) -> bytes:
    """Return a figure as the bytes of a picture."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # Without versions, dates and random names, equal figures are equal files.
    left_out = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    with rc_context({"svg.hashsalt": "medshards"}):
        figure.savefig(buffer, format=form, metadata=left_out)
    return buffer.getvalue()
