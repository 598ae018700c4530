"""Tables of classifiers that saw few train samples, for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from stages.evaluate.predictions import VIEW
from stages.evaluate.tables import (
    UNDEFINED,
    Rows,
    Table,
    blocks_of,
    described,
    grouped,
    is_few_shot,
)

_KEY = VIEW[:-3]  # without k, fraction and seed
_NOTE = "Mean over {} seeds, in brackets the smallest and largest; other metrics: --json, --out."


def few_shot_tables(summary: Rows, metric: str = "average_accuracy") -> list[Table]:
    """Return, for each suite, split and protocol, one row per dataset and encoder.

    Its cells are the mean over seeds for each amount of train samples, ×100, with the smallest and
    the largest.

    Parameters
    ----------
    summary
        Summary rows, in the order the datasets and encoders are to have; those of classifiers that
        saw all train samples are left out.
    metric
        The summary metric.
    """
    wanted = [row for row in summary if is_few_shot(row) and row["metric"] == metric]
    tables = []
    for key, rows in grouped(wanted, _KEY):
        amounts = sorted({_amount(row) for row in rows})
        blocks = blocks_of(rows, partial(_line, amounts))
        under = described((*key, None, None, None))
        title = f"Frozen-feature few-shot, mean accuracy under corruption, ×100: {under}"
        seeds = len({row["seed"] for row in rows})
        heads = ("Encoder", *(_heading(amount) for amount in amounts))
        tables.append(Table(title, heads, blocks, (_NOTE.format(seeds),)))
    return tables


def _amount(row: Mapping[str, Any]) -> tuple[int, float]:
    """Return what orders amounts: samples per class, then shares."""
    return (0, row["k"]) if row["k"] is not None else (1, row["fraction"])


def _heading(amount: tuple[int, float]) -> str:
    is_share, number = amount
    return f"{100 * number:g} %" if is_share else f"{number:g}/class"


def _line(
    amounts: Iterable[tuple[int, float]], encoder: str, own: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    seeds = ([row for row in own if _amount(row) == amount] for amount in amounts)
    return encoder, *map(_cell, seeds)


def _cell(seeds: Sequence[Mapping[str, Any]]) -> str:
    values = [100 * row["value"] for row in seeds if row["value"] is not None]
    if not seeds or not values:
        return UNDEFINED if seeds else ""
    return f"{fmean(values):.1f} [{min(values):.1f}, {max(values):.1f}]"
