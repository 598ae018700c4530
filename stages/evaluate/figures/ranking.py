"""Encoders in order, over all datasets, as the paper's Figure 5 D and Figure 7."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.drawing import Panel, finished, looks, panel_axes
from stages.evaluate.figures.views import View, mean

MEASURES = {
    "average_balanced_accuracy": "mean balanced accuracy under corruption, %",
    "average_accuracy": "mean accuracy under corruption, %",
    "mce": "mCE, % of the baseline's error",
    "balanced_mce": "mCE from balanced accuracy, %",
}
"""What encoders are ranked by, and how its axis is called."""
LOWER_IS_BETTER = frozenset({"mce", "balanced_mce"})


@dataclass(frozen=True)
class Standing:
    """One encoder's place."""

    encoder: str
    value: float
    """Mean over the datasets that every ranked encoder has."""
    by_dataset: dict[str, float]


def ranked(view: View, measure: str, encoders: Collection[str] = ()) -> list[Standing]:
    """Return the encoders, the best one first, over the datasets on which all have the measure.

    An encoder without the measure on any dataset is left out.
    """
    found = {
        encoder: {
            dataset: value[0]
            for dataset in view.datasets
            if (value := view.value(dataset, encoder, measure))
        }
        for encoder in view.encoders
        if not encoders or encoder in encoders
    }
    found = {encoder: values for encoder, values in found.items() if values}
    shared = [name for name in view.datasets if all(name in values for values in found.values())]
    standings = [
        Standing(encoder, average, {name: values[name] for name in shared})
        for encoder, values in found.items()
        if (average := mean([values[name] for name in shared])) is not None
    ]
    return sorted(
        standings, key=lambda one: one.value if measure in LOWER_IS_BETTER else -one.value
    )


def ranking_panels(
    view: View, encoders: Collection[str] = (), kind: str = "ranking"
) -> list[Panel]:
    """Return a panel per measure: a bar per encoder for the mean, a dot for every dataset."""
    panels = []
    for measure, label in MEASURES.items():
        standings = ranked(view, measure, encoders)
        if len(standings) < 2:
            continue
        styles = looks(view.encoders)
        with panel_axes(height=1.3 + 0.36 * len(standings)) as (figure, axes):
            for position, one in enumerate(reversed(standings)):
                colour = styles[one.encoder]["color"]
                axes.barh(position, 100 * one.value, color=colour, alpha=0.75, height=0.62)
                values = [100 * value for value in one.by_dataset.values()]
                axes.plot(
                    values,
                    [position] * len(values),
                    linestyle="none",
                    marker="o",
                    markersize=3.5,
                    markerfacecolor="none",
                    markeredgecolor="#8a8f98",
                )
            axes.set_yticks(range(len(standings)), [one.encoder for one in reversed(standings)])
            axes.set_xlabel(label)
            axes.grid(visible=False, axis="y")
            better = "lower" if measure in LOWER_IS_BETTER else "higher"
            datasets = len(standings[0].by_dataset)
            over = f"{datasets} dataset{'s' * (datasets != 1)}"
            title = f"{label.partition(',')[0]} over {over} ({better} is better)"
            told = ", ".join(f"{one.encoder} {100 * one.value:.1f}" for one in standings)
            name = f"{view.name}-{kind}-{measure.replace('_', '-')}"
            panels.append(finished(figure, name, title, f"{title}: {told}"))
    return panels
