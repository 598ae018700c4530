"""Prompts as a table: one row per sample, target, prompt and variant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.tables import column
from stages.prompt.attributes import KEYS, Attributes, Prompt

if TYPE_CHECKING:
    from stages.prompt.record import Record


@dataclass(frozen=True, slots=True)
class Worded:
    """One target of one image, in words."""

    record: Record
    row: int
    """Position of the record among those of its split."""
    attributes: Attributes | None
    """None where nothing could be measured, or a prompt needs what is not known."""
    prompts: tuple[Prompt, ...]


SCHEMA = pa.schema(
    [
        column("sample", pa.string(), "", "id of the image"),
        column("target", pa.string(), "", "name of the mask layer"),
        column("status", pa.string(), "", "ok, empty (no foreground) or failed: has no prompts"),
        column("error", pa.string(), "", "why the sample failed; empty otherwise"),
        column("record", pa.int64(), "1", "row of the measured record among those of the split"),
        column("prompt", pa.string(), "", "design: p0 to p9, original, ...; null where failed"),
        column("variant", pa.int32(), "1", "position among the variants of the prompt"),
        column("chosen", pa.bool_(), "", "whether the sample's seeded choice is this variant"),
        column("text", pa.string(), "", "the prompt"),
        column("change", pa.string(), "", "added, removed, falsified; empty if true to the record"),
        column("changed", pa.list_(pa.string()), "", "the attributes that were changed"),
        column("count", pa.int32(), "1", "objects that the number stands for"),
        *[column(name, pa.string(), "", f"the attribute {name} in words") for name in KEYS],
        *[
            column(f"{name}_origin", pa.string(), "", f"where the attribute {name} comes from")
            for name in KEYS
        ],
    ]
)


_AT_ONCE = 10_000
"""Rows that are Python objects at the same time, which take far more memory than in the table."""


def prompt_table(targets: Iterable[Worded]) -> pa.Table:
    """Return the prompts of `targets`; a target that failed is one row without a prompt."""
    rows = (row for target in targets for row in _rows(target))
    parts = [SCHEMA.empty_table()]
    while part := list(itertools.islice(rows, _AT_ONCE)):
        parts.append(pa.Table.from_pylist(part, schema=SCHEMA))
    return pa.concat_tables(parts).combine_chunks()


def worded_from(table: pa.Table, records: Sequence[Record]) -> list[Worded]:
    """Return the targets of a table that `prompt_table` made, with their records.

    Status and error are those of the table: a target that was measured may have failed there.
    """
    found: dict[int, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault(row["record"], []).append(row)
    return [
        Worded(
            replace(records[number], status=rows[0]["status"], error=rows[0]["error"]),
            number,
            None if rows[0]["prompt"] is None else _attributes(rows[0]),
            tuple(_prompt(row) for row in rows if row["prompt"] is not None),
        )
        for number, rows in found.items()
    ]


def _rows(target: Worded) -> Iterable[dict[str, Any]]:
    record = target.record
    of_all: dict[str, Any] = {
        "sample": record.sample,
        "target": record.target,
        "status": record.status,
        "error": record.error,
        "record": target.row,
    }
    if target.attributes is None:
        yield of_all
        return
    words, origins = target.attributes.values, target.attributes.origins
    of_all |= {"count": target.attributes.count, **words}
    of_all |= {f"{name}_origin": origin for name, origin in origins.items()}
    for prompt in target.prompts:
        yield of_all | {
            "prompt": prompt.design,
            "variant": prompt.variant,
            "chosen": prompt.chosen,
            "text": prompt.text,
            "change": prompt.change,
            "changed": list(prompt.changed),
        }


def _attributes(row: dict[str, Any]) -> Attributes:
    values = {name: row[name] for name in KEYS if row[name] is not None}
    origins = {name: row[f"{name}_origin"] for name in values}
    return Attributes(values, origins, row["count"])


def _prompt(row: dict[str, Any]) -> Prompt:
    names = ("variant", "chosen", "text", "change")
    return Prompt(row["prompt"], **{n: row[n] for n in names}, changed=tuple(row["changed"]))
