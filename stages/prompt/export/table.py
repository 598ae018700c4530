"""Plain CSV: one row per sample, target, prompt and variant."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pipeline.files import write_whole
from stages.prompt.attributes import KEYS
from stages.prompt.export.row import PromptRow, of_targets

COLUMNS = (
    "dataset",
    "split",
    "sample",
    "target",
    "image_name",
    "mask_name",
    "status",
    "prompt",
    "variant",
    "chosen",
    "text",
    "change",
    "changed",
    "count",
    *KEYS,
    *(f"{name}_origin" for name in KEYS),
)
"""`chosen` is true or false; `changed` lists attributes with a space between."""


def export_csv(rows: Sequence[PromptRow], path: Path) -> list[Path]:
    """Write `path`, or ``prompts.csv`` in a folder: RFC 4180, UTF-8, one header line."""
    content = io.StringIO(newline="")
    lines = csv.DictWriter(content, COLUMNS, restval="")
    lines.writeheader()
    for target in of_targets(rows):
        lines.writerows(_line(row) for row in target)
    file = path if path.suffix else path / "prompts.csv"
    return write_whole({file: content.getvalue().encode()})


def _line(row: PromptRow) -> dict[str, str | int]:
    prompt, attributes = row.prompt, row.attributes
    return {
        "dataset": row.dataset,
        "split": row.split,
        "sample": row.sample,
        "target": row.target,
        "image_name": row.image_name,
        "mask_name": row.mask_name,
        "status": row.record.status,
        "prompt": prompt.design,
        "variant": prompt.variant,
        "chosen": "true" if prompt.chosen else "false",
        "text": prompt.text,
        "change": prompt.change,
        "changed": " ".join(prompt.changed),
        "count": attributes.count,
        **attributes.values,
        **{f"{name}_origin": origin for name, origin in attributes.origins.items()},
    }
