"""Tables in the layouts of the RobustMedCLIP paper's Tables 2 and 3, times 100 as printed there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from stages.evaluate.predictions import VIEW
from stages.vocabulary import CLEAN

HEADINGS: Mapping[str, str] = {
    "gaussian_noise": "Gauss.",
    "impulse_noise": "Impulse",
    "motion_blur": "Motion",
    "zoom_blur": "Zoom",
    "brightness": "Bright.",
    "contrast": "Contrast",
    "pixelate": "Pixelate",
}
"""The paper's columns, in its order; other corruptions follow under their own names."""

UNDEFINED = "n/a"
_CONSTANT = "†"
_CONSTANT_BASELINE = "‡"
_LEGEND = {
    UNDEFINED: f"{UNDEFINED}: undefined, the baseline hardly errs or a score is missing.",
    _CONSTANT: f"{_CONSTANT} covers a set on which the encoder predicts one class only.",
    _CONSTANT_BASELINE: f"{_CONSTANT_BASELINE} covers a set on which the baseline does.",
}

Rows: TypeAlias = Iterable[Mapping[str, Any]]
Group: TypeAlias = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Block:
    """The encoders of one dataset."""

    dataset: str
    rows: tuple[tuple[str, ...], ...]
    """One per encoder; its cells are those of the table's columns."""


@dataclass(frozen=True)
class Table:
    """A table of text cells: what a terminal shows and a CSV file would hold."""

    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield every row with its dataset in front."""
        for block in self.blocks:
            for row in block.rows:
                yield (block.dataset, *row)


def error_tables(summary: Rows, *, family: str = "") -> list[Table]:
    """Return Table 2 for each suite, split and protocol: clean error, CE and mCE against n, CI.

    Parameters
    ----------
    summary
        Summary rows, in the order the datasets and encoders are to have.
    family
        Prefix of the metrics: empty, or `balanced_` for those made from balanced accuracy.
    """
    tables = []
    for key, rows in grouped(summary, VIEW):
        ratios = [
            row
            for row in rows
            if row["metric"] in {f"{family}clean_error", f"{family}mce"}
            or row["metric"].startswith(f"{family}ce/")
        ]
        for (baseline,), group in grouped(ratios, ("baseline",)):
            title = f"Error relative to {baseline}, ×100: {described(key)}"
            tables.append(_error_table(title, group, family))
    return tables


def accuracy_tables(
    results: Rows, summary: Rows = (), *, metric: str = "accuracy", average: str = ""
) -> list[Table]:
    """Return Table 3 for each suite, split and protocol: accuracies and their mean.

    Parameters
    ----------
    results
        Result rows, in the order the datasets and encoders are to have.
    summary
        Summary rows, which give the mean its interval.
    metric
        The metric shown; each corruption's cell is its mean over severities.
    average
        The summary metric that is the mean of `metric`; default `average_<metric>`.
    """
    wanted = average or f"average_{metric}"
    intervals = {_identity(row): _interval(row) for row in summary if row["metric"] == wanted}
    tables = []
    for key, group in grouped((row for row in results if row["metric"] == metric), VIEW):
        title = f"{metric.replace('_', ' ').capitalize()}, ×100: {described(key)}"
        tables.append(_accuracy_table(title, group, intervals))
    return tables


def as_text(table: Table) -> str:
    """Return `table` as plain text, as wide as it needs to be: no number is ever cut short."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    out = RichTable(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for index, name in enumerate(("", *table.columns)):
        out.add_column(Text(name), justify="right" if index > 1 else "left", no_wrap=True)
    for block in table.blocks:
        for index, row in enumerate(block.rows):
            cells = (block.dataset if index == 0 else "", *row)
            last = index == len(block.rows) - 1
            out.add_row(*(Text(cell) for cell in cells), end_section=last)
    sink = io.StringIO()
    # A console of fixed width draws the same with and without a terminal.
    Console(file=sink, width=10_000, force_terminal=False, color_system=None).print(out)
    body = (line.rstrip() for line in sink.getvalue().splitlines())
    lines = (line for line in body if line)
    return "\n".join((table.title, *lines, *(f" {note}" for note in table.notes))) + "\n"


def _error_table(title: str, rows: Group, family: str) -> Table:
    prefix = f"{family}ce/"
    named = [row["metric"].removeprefix(prefix) for row in rows if "/" in row["metric"]]
    corruptions = in_paper_order(named)
    metrics = [f"{family}clean_error", *(prefix + c for c in corruptions), f"{family}mce"]

    def line(encoder: str, own: Group) -> tuple[str, ...]:
        cells = {row["metric"]: row for row in own}
        shown = [_ratio_cell(cells.get(metric)) for metric in metrics]
        return encoder, *shown, _interval(cells.get(metrics[-1])), str(own[0]["n"])

    blocks = blocks_of(rows, line)
    heads = (HEADINGS.get(name, name) for name in corruptions)
    columns = ("Encoder", "Clean", *heads, "mCE", _interval_heading(rows), "n")
    return Table(title, columns, blocks, _legend(blocks))


def _accuracy_table(title: str, rows: Group, intervals: Mapping[tuple[Any, ...], str]) -> Table:
    corruptions = in_paper_order([row["corruption"] for row in rows if row["corruption"] != CLEAN])

    def line(encoder: str, own: Group) -> tuple[str, ...]:
        cells = {name: sets for (name,), sets in grouped(own, ("corruption",))}
        shown = [_mean_cell([cells.get(name, [])]) for name in (CLEAN, *corruptions)]
        mean = _mean_cell([cells[name] for name in corruptions if name in cells])
        return encoder, *shown, mean, intervals.get(_identity(own[0]), ""), str(own[0]["n"])

    blocks = blocks_of(rows, line)
    heads = (HEADINGS.get(name, name) for name in corruptions)
    columns = ("Encoder", "Clean", *heads, "Mean", _interval_heading(rows), "n")
    return Table(title, columns, blocks, _legend(blocks))


def _ratio_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    text = UNDEFINED if row["value"] is None else f"{100 * row['value']:.1f}"
    text += _CONSTANT if row.get("constant_predictor") else ""
    return text + (_CONSTANT_BASELINE if row.get("constant_baseline") else "")


def _mean_cell(groups: Sequence[Group]) -> str:
    """Return the mean over groups (corruptions) of the mean over each one's rows (severities)."""
    rows = [row for group in groups for row in group]
    if not rows:
        return ""
    text = UNDEFINED
    if all(row["value"] is not None for row in rows):
        means = [sum(row["value"] for row in group) / len(group) for group in groups]
        text = f"{100 * sum(means) / len(means):.2f}"
    return text + (_CONSTANT if any(row.get("constant_predictor") for row in rows) else "")


def _interval(row: Mapping[str, Any] | None) -> str:
    if row is None or row.get("ci_low") is None or row.get("ci_high") is None:
        return ""
    return f"[{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"


def _interval_heading(rows: Group) -> str:
    confidence = rows[0].get("confidence") if rows else None
    return "interval" if confidence is None else f"{100 * confidence:g}% interval"


def _legend(blocks: Iterable[Block]) -> tuple[str, ...]:
    cells = [cell for block in blocks for row in block.rows for cell in row[1:]]
    return tuple(text for mark, text in _LEGEND.items() if any(mark in cell for cell in cells))


def in_paper_order(corruptions: Iterable[str]) -> list[str]:
    """Return the paper's corruptions in its order, then the others."""
    found = list(dict.fromkeys(corruptions))
    known = [name for name in HEADINGS if name in found]
    return known + [name for name in found if name not in HEADINGS]


def is_few_shot(row: Mapping[str, Any]) -> bool:
    """Return whether a row's classifier saw a part of the train split only."""
    return row.get("k") is not None or row.get("fraction") is not None


def described(key: tuple[Any, ...]) -> str:
    """Return for people what the rows of a table share, the values of `VIEW`."""
    suite, split, protocol, template, prompts, k, fraction, seed = key
    parts = [f"{suite}, {split}, {protocol}"]
    parts += [f"template {template}"] if template is not None else []
    parts += [f"{prompts} prompts"] if prompts is not None else []
    parts += [f"{k} samples per class, seed {seed}"] if k is not None else []
    parts += [f"{100 * fraction:g} % of train, seed {seed}"] if fraction is not None else []
    return ", ".join(parts)


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in (*VIEW, "dataset", "encoder"))


def blocks_of(
    rows: Rows,
    line: Callable[[str, Group], tuple[str, ...]],
    names: tuple[str, str] = ("dataset", "encoder"),
) -> tuple[Block, ...]:
    """Return a block per value of a column, with the line of each value of another in it."""
    return tuple(
        Block(outer, tuple(line(inner, own) for (inner,), own in grouped(group, names[1:])))
        for (outer,), group in grouped(rows, names[:1])
    )


def grouped(rows: Rows, names: Sequence[str]) -> list[tuple[tuple[Any, ...], Group]]:
    """Return rows by the values of some columns, in order of first appearance."""
    groups: dict[tuple[Any, ...], Group] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return list(groups.items())
