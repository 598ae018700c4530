"""Figures of how far embeddings move under corruption, one of each kind per suite and encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.drawing import looks
from stages.analyse.figures import Form, grid, panels_of, readable, rendered, shades
from stages.analyse.shift import Estimate, Shift
from stages.analyse.shift_tables import ProjectedSets, ShiftedSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METHODS = {"tsne": "t-SNE", "pca": "principal components"}
_CLEAN_COLOUR = "#303030"
_DASHED: Final[dict[str, Any]] = {"color": "0.4", "lw": 0.9, "ls": "--"}


def curve_figure(
    suite: str, encoder: str, shifted: Sequence[ShiftedSet], form: Form = "png"
) -> bytes:
    """Draw every measure against severity: a row each, a column per split, a line per corruption.

    Bands are 95 % bootstrap intervals; dashes are what no shift, or chance, would give.
    """
    splits: dict[str, list[ShiftedSet]] = {}
    for one in shifted:
        splits.setdefault(one.set.row, []).append(one)
    styles = looks(list(dict.fromkeys(one.set.corruption for one in shifted)))
    figure, axes = grid(len(_MEASURES), len(splits), 2.9, 1.9, 2.0)
    for column, sets in zip(axes.T, splits.values(), strict=True):
        column[0].set_title(_titled(sets), fontsize=9)
        column[-1].set_xlabel("severity")
        for panel, name in zip(column, _MEASURES, strict=True):
            _curves(panel, name, sets, styles)
    for panel, (name, unit) in zip(axes[:, 0], _MEASURES.items(), strict=True):
        panel.set_ylabel(f"{name}\n{unit}" if unit else name, fontsize=8)
    _share_rows(axes)
    shown = {readable(name): {**style, "lw": 1.4} for name, style in styles.items()}
    shown |= {"chance, or no shift;\nof Fréchet distance:\ntwo clean halves": _DASHED}
    _legend(figure, shown, "bands: 95 % intervals")
    _title(figure, f"{encoder} under {suite}", "embeddings of clean and corrupted images")
    return rendered(figure, form)


def projection_figure(
    suite: str, encoder: str, projections: Sequence[ProjectedSets], form: Form = "png"
) -> bytes:
    """Draw clean and corrupted embeddings in two dimensions: a row per split.

    All panels of a row show the same projection: the clean images, and one corruption by severity.
    """
    most = max(len(_corruptions(one)) for one in projections)
    colours = shades(s.severity for one in projections for s in one.sets if s.severity)
    figure, axes = grid(len(projections), most, 2.5, 2.5, 1.4)
    for one, row in zip(projections, axes, strict=True):
        for panel, name in panels_of(row, _corruptions(one)):
            _scatter(panel, one, name, colours)
        row[0].set_ylabel(f"{one.sets[0].titled}\n{len(one.ids)} images of each set", fontsize=8)
    dots = {"marker": "o", "ls": "none", "ms": 5}
    shown = {"clean": {**dots, "mfc": "none", "mec": _CLEAN_COLOUR}}
    shown |= {f"severity {n}": {**dots, "color": shade} for n, shade in colours.items()}
    _legend(figure, shown)
    method = _METHODS[projections[0].method]
    _title(figure, f"{encoder} under {suite}", f"{method} of clean and corrupted embeddings")
    return rendered(figure, form)


def _scatter(panel: Axes, one: ProjectedSets, corruption: str, colours: Mapping[int, Any]) -> None:
    clean = one.coordinates[0]
    for of, points in zip(one.sets, one.coordinates, strict=True):
        if of.corruption == corruption:
            colour = [colours[of.severity]]
            panel.scatter(points[:, 0], points[:, 1], s=9, c=colour, alpha=0.75, lw=0)
    panel.scatter(
        clean[:, 0], clean[:, 1], s=14, facecolors="none", edgecolors=_CLEAN_COLOUR, lw=0.7
    )
    panel.set_xticks([])
    panel.set_yticks([])
    _frame(panel, one)


_MEASURES = {
    "cosine distance": "mean over pairs",
    "Fréchet distance": "of the two sets",
    "clean neighbours kept": "mean share",
    "top-1": "own clean image nearest",
    "AUROC": "corrupted or clean",
}


def _curves(
    panel: Axes, name: str, sets: Sequence[ShiftedSet], styles: dict[str, dict[str, Any]]
) -> None:
    panel.grid(visible=True, lw=0.3)
    panel.tick_params(labelsize=7)
    panel.set_xticks(sorted({one.set.severity for one in sets}))
    reference = _reference(name, sets[0].shift)
    if np.isfinite(reference):
        panel.axhline(reference, **_DASHED)
    for corruption, style in styles.items():
        chosen = [one for one in sets if one.set.corruption == corruption]
        numbers = [one.set.severity for one in chosen]
        values = [_value(name, one.shift) for one in chosen]
        low, high = [value.low for value in values], [value.high for value in values]
        panel.plot(numbers, [value.value for value in values], ms=3.5, lw=1.2, **style)
        panel.fill_between(numbers, low, high, color=style["color"], alpha=0.12, lw=0)


def _value(name: str, shift: Shift) -> Estimate:
    return {
        "cosine distance": shift.cosine,
        "Fréchet distance": Estimate(shift.frechet, shift.frechet, shift.frechet),
        "clean neighbours kept": shift.kept,
        "top-1": shift.top1,
        "AUROC": shift.auroc,
    }[name]


def _reference(name: str, shift: Shift) -> float:
    """Return what no shift, or chance, gives: the dashed line of a panel."""
    return {
        "cosine distance": 0.0,
        "Fréchet distance": shift.frechet_clean,
        "clean neighbours kept": shift.kept_by_chance,
        "top-1": 1 / shift.n,
        "AUROC": 0.5,
    }[name]


def _share_rows(axes: NDArray[np.object_]) -> None:
    """Give all panels of a row one scale: shares 0 to 1, distances as far as the largest."""
    for row, name in zip(axes, _MEASURES, strict=True):
        top = max(panel.get_ylim()[1] for panel in row) if name.endswith("distance") else 1.0
        for panel in row:
            panel.set_ylim(-0.03 * top, 1.03 * top)


def _title(figure: Figure, *lines: str) -> None:
    # On the left and in lines, so that it does not reach the legend where there is one column.
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11)


def _legend(figure: Figure, shown: dict[str, dict[str, Any]], title: str = "") -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **style) for style in shown.values()]
    figure.legend(lines, list(shown), loc="outside right upper", fontsize=9, title=title or None)


def _corruptions(one: ProjectedSets) -> list[str]:
    return list(dict.fromkeys(of.corruption for of in one.sets[1:]))


def _frame(panel: Axes, one: ProjectedSets) -> None:
    """Let a panel show the whole projection, so that all of a row have the same axes."""
    low, high = one.coordinates.min(axis=(0, 1)), one.coordinates.max(axis=(0, 1))
    margin = 0.05 * (high - low) + 1e-9
    panel.set_xlim(low[0] - margin[0], high[0] + margin[0])
    panel.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _titled(sets: Sequence[ShiftedSet]) -> str:
    counts = sorted({one.shift.n for one in sets})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{sets[0].clean.titled}\nn = {n} images per set"
