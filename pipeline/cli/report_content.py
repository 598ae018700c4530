"""The sections of a report, made from the rows of an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.cli.retrieval import LEGEND, retrieval_tables
from pipeline.drawing import Panel
from pipeline.errors import MissingInputError
from stages.evaluate.answers import MEASURE, answers, drops
from stages.evaluate.figures.few_shot import TITLE, few_shot_panels
from stages.evaluate.figures.ranking import ranked, ranking_panels
from stages.evaluate.figures.severity import relative_severity_panels, severity_panels
from stages.evaluate.figures.tradeoff import tradeoff_panels
from stages.evaluate.figures.views import Interval, View, with_interval
from stages.evaluate.leaderboard import read_summary
from stages.evaluate.tables import Table as TextTable
from stages.evaluate.tables import accuracy_tables, error_tables, is_few_shot
from stages.report.content import Figure, Foldable, Heat, Item, Paragraph, Section, Table

Rows = Sequence[dict[str, Any]]
_SYSTEM = (
    *("dataset", "encoder", "suite", "split", "protocol", "template", "k", "fraction", "seed"),
)
_LARGEST_DROP = 0.5
"""Loss of balanced accuracy that is shaded fully: from certain to a coin's toss."""


def in_short(views: Iterable[View], comparisons: Rows, *, synthetic: Collection[str]) -> Section:
    """Return the section that answers what most readers came for."""
    items: list[Item] = []
    if synthetic:
        items.append(Paragraph(f"Synthetic images, not taken from people: {', '.join(synthetic)}."))
    for view in views:
        first, *others = answers(view, comparisons) or ["No encoder has scores here."]
        items.append(Paragraph(f"{view.title}. {first}", strong=True))
        items += [Paragraph(text) for text in others]
        standings = _standings(view)
        if standings:
            items.append(standings)
    return Section("in-short", "In short", items)


def tables(results: Rows, summary: Rows) -> Section:
    """Return the section with the layouts of the paper's Tables 2 and 3."""
    whole = [row for row in results if not is_few_shot(row)]
    aggregates = [row for row in summary if not is_few_shot(row)]
    made = [
        *_numbered("accuracy", accuracy_tables(whole, aggregates)),
        *_numbered(
            "balanced-accuracy", accuracy_tables(whole, aggregates, metric="balanced_accuracy")
        ),
        *_numbered("error", error_tables(aggregates)),
    ]
    return Section("tables", "Tables", list(made))


def robustness(views: Iterable[View], resnets: Collection[str]) -> Section:
    """Return the section of the paper's Figures 5 D to 8 and what each corruption costs."""
    items: list[Item] = []
    for view in views:
        items += _figures(view, resnets)
        heat = _heat(view)
        if heat is not None:
            items.append(heat)
    return Section("robustness", "Robustness", items)


def few_shot(summary: Rows) -> Section | None:
    """Return the section of the paper's Figure 9, or None where nothing was fitted on few."""
    panels = few_shot_panels(summary)
    if not panels:
        return None
    caption = (
        "Classifiers fitted on few embeddings of a frozen encoder: lines are means over seeds, "
        "bands reach from the smallest to the largest."
    )
    return Section(
        "few-shot", "Few-shot", [Figure("few-shot", TITLE.capitalize(), caption, panels)]
    )


def retrieval(rows: Rows) -> Section | None:
    """Return what was retrieved, or None where no retrieval was measured."""
    items: list[Item] = [
        Table(
            f"retrieval-{name}",
            {"designs": "Prompts found for images", "changes": "Changed prompts"}[name],
            tuple(heading.capitalize() for heading in headings),
            tuple(cells),
            (LEGEND,),
        )
        for name, (headings, cells) in retrieval_tables(rows).items()
    ]
    return Section("retrieval", "Images and prompts", items) if items else None


def compared(board: Path) -> Section:
    """Return the results of all runs of a leaderboard, side by side.

    Raises
    ------
    MissingInputError
        If the folder holds no leaderboard.
    """
    rows = read_summary(board)
    if not rows:
        message = f"{board} holds no leaderboard; make one with `pipeline eval --append {board}`"
        raise MissingInputError(message)
    runs = list(dict.fromkeys(row["run"] for row in rows))
    items: list[Item] = []
    for metric in (MEASURE, "average_accuracy", "mce"):
        lines: dict[tuple[str, ...], dict[str, str]] = {}
        for row in rows:
            if row["metric"] == metric:
                key = tuple("" if row.get(name) is None else str(row[name]) for name in _SYSTEM)
                lines.setdefault(key, {})[row["run"]] = _told(with_interval(row))
        cells = tuple((*key, *(found.get(run, "") for run in runs)) for key, found in lines.items())
        if cells:
            heads = (*(name.capitalize() for name in _SYSTEM), *runs)
            title = f"{metric.replace('_', ' ').capitalize()}, ×100, of every run"
            items.append(Table(f"compared-{metric.replace('_', '-')}", title, heads, cells))
    return Section("compared", "Compared with other runs", items)


def _told(value: Interval | None) -> str:
    if value is None:
        return "n/a"
    middle, low, high = (f"{100 * number:.1f}" for number in value)
    return middle if low == high else f"{middle} [{low}, {high}]"


def flags(notes: Iterable[str], skipped: Iterable[str], more: Iterable[str]) -> Section:
    """Return what a reader should know before believing a number."""
    items: list[Item] = []
    for title, lines in (
        ("Datasets and encoders", tuple(more)),
        ("Results", tuple(notes)),
        ("Not evaluated, and how to enable it", tuple(skipped)),
    ):
        if lines:
            items.append(Foldable(title, lines))
    if not items:
        items.append(Paragraph("Nothing to flag."))
    return Section("flags", "Flags", items)


def _standings(view: View) -> Table | None:
    standings = ranked(view, MEASURE)
    if not standings:
        return None
    datasets = list(standings[0].by_dataset)
    rows = []
    for place, one in enumerate(standings, 1):
        cells = [_with_interval(view, name, one.encoder) for name in datasets]
        rows.append((str(place), one.encoder, f"{100 * one.value:.1f}", *cells))
    title = f"Mean balanced accuracy under corruption, %: {view.title}"
    columns = ("Place", "Encoder", "Mean", *datasets)
    return Table(f"standings-{view.name}", title, columns, tuple(rows))


def _with_interval(view: View, dataset: str, encoder: str) -> str:
    return _told(view.value(dataset, encoder, MEASURE))


def _numbered(name: str, found: Sequence[TextTable]) -> list[Table]:
    return [
        Table(
            f"{name}-{number}",
            table.title,
            ("Dataset", *table.columns),
            tuple(tuple(row) for row in table.rows()),
            table.notes,
        )
        for number, table in enumerate(found, 1)
    ]


def _figures(view: View, resnets: Collection[str]) -> list[Item]:
    chosen = [name for name in view.encoders if name in resnets]
    backbones = [*chosen, *([view.baseline] if view.baseline and chosen else [])]
    made: tuple[tuple[str, str, str, list[Panel]], ...] = (
        (
            "ranking",
            "Overall ranking",
            (
                "Bars are means over the datasets that all encoders have, circles single datasets "
                "(layout of the paper's Figure 5 D)."
            ),
            ranking_panels(view),
        ),
        (
            "tradeoff",
            "Accuracy and robustness",
            "Bars are bootstrap intervals (layout of the paper's Figure 6).",
            tradeoff_panels(view),
        ),
        (
            "backbones",
            "ResNet backbones",
            "Encoders with a ResNet, and the baseline (layout of the paper's Figure 7).",
            ranking_panels(view, backbones, "backbones") if chosen else [],
        ),
        (
            "severity",
            "Error by severity",
            ("Mean over the corruptions of a severity."),
            severity_panels(view),
        ),
        (
            "relative-severity",
            "Error by severity, relative to the baseline",
            (
                "Mean over the corruptions of a severity (layout of the paper's Figure 8); "
                "severities at which the baseline hardly errs are left out."
            ),
            relative_severity_panels(view),
        ),
    )
    return [
        Figure(f"{name}-{view.name}", f"{title}: {view.title}", caption, panels)
        for name, title, caption, panels in made
        if panels
    ]


def _heat(view: View) -> Heat | None:
    lost = {encoder: drops(view, encoder) for encoder in view.encoders}
    names = [name for name in view.corruptions if any(name in found for found in lost.values())]
    if not names:
        return None
    rows, values = [], []
    for encoder, found in lost.items():
        cells = [found.get(name) for name in names]
        rows.append((encoder, *("" if one is None else f"{-100 * one:+.1f}" for one in cells)))
        shades = [None if one is None else min(max(one / _LARGEST_DROP, 0), 1) for one in cells]
        values.append((None, *shades))
    title = f"Change of balanced accuracy by corruption, percentage points: {view.title}"
    columns = ("Encoder", *(name.replace("_", " ") for name in names))
    note = "Clean less the mean over severities, mean over datasets; the darker, the more is lost."
    return Heat(f"drops-{view.name}", title, columns, tuple(rows), tuple(values), (note,))
