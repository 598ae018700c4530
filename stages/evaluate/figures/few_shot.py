"""Accuracy against the number of train samples, as the paper's Figure 9."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pipeline.drawing import Panel, finished, looks, panel_axes
from stages.evaluate.figures.severity import place_legend
from stages.evaluate.figures.views import Row
from stages.evaluate.tables import is_few_shot

TITLE = "frozen-feature few-shot"
"""Classifiers are fitted on frozen embeddings; the paper fine-tunes its encoder."""


@dataclass(frozen=True)
class Curve:
    """Values of one encoder by amount of train samples; for each amount one value per seed."""

    encoder: str
    values: Mapping[float, tuple[float, ...]]


@dataclass(frozen=True)
class FewShot:
    """The curves of one dataset under one suite, on one axis."""

    suite: str
    dataset: str
    protocol: str
    axis: str
    """`k` (samples per class) or `fraction` (of the train split)."""
    curves: tuple[Curve, ...]

    @property
    def seeds(self) -> int:
        """The smallest number of seeds behind a point."""
        return min(len(seeds) for curve in self.curves for seeds in curve.values.values())


def few_shot_curves(summary: Iterable[Row], metric: str) -> list[FewShot]:
    """Return the curves of `metric`, a summary metric, in order of appearance."""
    found: dict[tuple[Any, ...], dict[str, dict[float, list[float]]]] = {}
    for row in summary:
        if not is_few_shot(row) or row["metric"] != metric or row["value"] is None:
            continue
        axis = "k" if row.get("k") is not None else "fraction"
        key = (row["suite"], row["dataset"], row["protocol"], axis)
        curve = found.setdefault(key, {}).setdefault(row["encoder"], {})
        curve.setdefault(float(row[axis]), []).append(row["value"])
    return [
        FewShot(
            suite,
            dataset,
            protocol,
            axis,
            tuple(
                Curve(encoder, {at: tuple(values) for at, values in sorted(points.items())})
                for encoder, points in curves.items()
            ),
        )
        for (suite, dataset, protocol, axis), curves in found.items()
    ]


def few_shot_panels(summary: Iterable[Row], metric: str = "average_accuracy") -> list[Panel]:
    """Return a panel per dataset and axis: the mean over seeds, the smallest and the largest."""
    panels = []
    for one in few_shot_curves(summary, metric):
        styles = looks([curve.encoder for curve in one.curves])
        with panel_axes() as (figure, axes):
            for curve in one.curves:
                scale = 1 if one.axis == "k" else 100
                at = [scale * amount for amount in curve.values]
                middle = [100 * fmean(values) for values in curve.values.values()]
                low = [100 * min(values) for values in curve.values.values()]
                high = [100 * max(values) for values in curve.values.values()]
                look = styles[curve.encoder]
                axes.plot(at, middle, label=curve.encoder, **look)
                axes.fill_between(at, low, high, color=look["color"], alpha=0.15, linewidth=0)
            axes.set_xscale("log")
            ticks = sorted({amount for curve in one.curves for amount in curve.values})
            scale = 1 if one.axis == "k" else 100
            axes.set_xticks([scale * t for t in ticks], [f"{scale * t:g}" for t in ticks])
            axes.minorticks_off()
            axes.set_xlabel(
                "train samples per class" if one.axis == "k" else "share of the train split, %"
            )
            axes.set_ylabel("mean accuracy under corruption, %")
            place_legend(axes)
            title = f"{one.dataset}: {TITLE}, {one.seeds} seeds"
            told = [_told(curve) for curve in one.curves]
            name = f"{one.suite.replace('@', '-')}-{one.dataset}-{one.protocol}-few-shot-{one.axis}"
            panels.append(finished(figure, name, title, f"{title}: {'; '.join(told)}"))
    return panels


def _told(curve: Curve) -> str:
    first, *_, last = (100 * fmean(values) for values in [*curve.values.values()] * 2)
    return f"{curve.encoder} from {first:.1f} to {last:.1f}"
