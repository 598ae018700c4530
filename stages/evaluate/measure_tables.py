"""Tables of the other measures and of the differences between encoders, for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from stages.evaluate.alexnet import NAME
from stages.evaluate.predictions import VIEW
from stages.evaluate.significance import LEVEL
from stages.evaluate.tables import UNDEFINED, Block, Rows, Table, blocks_of, described, grouped

MEASURES: Mapping[str, tuple[str, float]] = {
    "average_balanced_accuracy": ("Bal. acc.", 100),
    "average_macro_f1": ("F1", 100),
    "average_auroc": ("AUROC", 100),
    "average_mean_average_precision": ("mAP", 100),
    "average_ece": ("ECE", 100),
    "average_brier": ("Brier", 1),
    "average_nll": ("NLL", 1),
    "average_flip_rate": ("Flips", 100),
    "average_detection_auroc": ("Detect.", 100),
    "harmonic_accuracy": ("Harm.", 100),
    "relative_mce": ("rel. mCE", 100),
    "be": ("BE", 100),
    "rbe": ("rBE", 100),
}
"""The columns: a summary metric, its heading, and what it is multiplied by."""

_ABOUT = """\
Means over corruptions, ×100 save Brier (0 to 2) and NLL (nats). Flips: answers that differ from the
clean image's. Detect.: AUROC of low confidence, corrupted against clean images. Harm.: harmonic
mean of clean accuracy and mean accuracy under corruption.\
"""
_RELATIVE_UNDEFINED = (
    f"{UNDEFINED}: undefined; for rel. mCE and rBE under some corruption the baseline loses too "
    "little, or it predicts one class only."
)
_MARK = "*"


def measure_tables(summary: Rows) -> list[Table]:
    """Return, for each suite, split and protocol, one row per dataset and encoder.

    Parameters
    ----------
    summary
        Summary rows, in the order the datasets and encoders are to have.
    """
    tables = []
    for key, rows in grouped((row for row in summary if row["metric"] in MEASURES), VIEW):
        present = {row["metric"] for row in rows}
        metrics = [name for name in MEASURES if name in present]
        blocks = blocks_of(rows, partial(_line, metrics))
        heads = ("Encoder", *(MEASURES[name][0] for name in metrics))
        title = f"Other measures under corruption: {described(key)}"
        tables.append(Table(title, heads, blocks, _notes(rows, blocks)))
    return tables


def comparison_tables(
    comparisons: Rows, *, metric: str = "average_balanced_accuracy", name: str = ""
) -> list[Table]:
    """Return, for each suite, split and protocol, one row per pair of encoders.

    Its cells are differences in percentage points, one column per dataset, with a mark where the
    corrected p-value is below 0.05.

    Parameters
    ----------
    comparisons
        Rows with corrected p-values.
    metric
        The aggregate that is compared.
    name
        What it is called in the title; default balanced accuracy.
    """
    called = name or "mean balanced accuracy under corruption"
    tables = []
    for key, rows in grouped((row for row in comparisons if row["metric"] == metric), VIEW):
        if rows[0].get("corruption") is not None:
            continue
        datasets = list(dict.fromkeys(row["dataset"] for row in rows))
        line = partial(_differences, datasets)
        blocks = blocks_of(rows, line, ("encoder_a", "encoder_b"))
        title = f"Differences in {called}, percentage points: {described(key)}"
        note = (
            f"{_MARK} p < {LEVEL}, Holm-corrected in a family of {rows[0]['family']}; intervals "
            "and other metrics: --json, or comparisons.parquet with --out."
        )
        tables.append(Table(title, ("Difference", *datasets), blocks, (note,)))
    return tables


def _line(metrics: Iterable[str], encoder: str, own: Rows) -> tuple[str, ...]:
    cells = {row["metric"]: row for row in own}
    return encoder, *(_cell(cells.get(name), name) for name in metrics)


def _differences(datasets: Iterable[str], second: str, pair: Rows) -> tuple[str, ...]:
    cells = {row["dataset"]: row for row in pair}
    return f"- {second}", *(_difference(cells.get(name)) for name in datasets)


def _difference(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    if row["difference"] is None:
        return UNDEFINED
    clear = row["p_holm"] is not None and row["p_holm"] < LEVEL
    return f"{100 * row['difference']:+.1f}{_MARK if clear else ' '}"


def _cell(row: Mapping[str, Any] | None, metric: str) -> str:
    if row is None:
        return ""
    factor = MEASURES[metric][1]
    digits = 1 if factor == 100 else 3
    return UNDEFINED if row["value"] is None else f"{factor * row['value']:.{digits}f}"


def _notes(rows: Sequence[Mapping[str, Any]], blocks: Iterable[Block]) -> tuple[str, ...]:
    notes = _ABOUT.splitlines()
    if any(UNDEFINED in cell for block in blocks for line in block.rows for cell in line[1:]):
        notes.append(_RELATIVE_UNDEFINED)
    bases = sorted({row["baseline"] for row in rows if row["metric"] in {"be", "rbe"}})
    notes += [not_comparable(base) for base in bases]
    return tuple(notes)


def not_comparable(baseline: str) -> str:
    """Return how far BE and rBE relative to `baseline` compare with published values."""
    if baseline == NAME:
        return (
            "BE, rBE divide by the AlexNet errors that MedMNIST-C published: comparable with "
            "published values only where its official files were imported."
        )
    return (
        f"BE, rBE divide by errors of {baseline}, not of MedMNIST-C's AlexNet: not comparable "
        "with published values (which need its official files imported)."
    )
