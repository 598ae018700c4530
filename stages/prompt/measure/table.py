"""Records as a table, one row each, and back without loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from pipeline.tables import column
from stages.prompt.record import Hygiene, PoudelMeasures, Record, Region, TganetMeasures

_BOX = "left, top, right, bottom; right and bottom are the first column and row outside"
_REGION: tuple[tuple[str, pa.DataType, str, str], ...] = (
    ("area", pa.int64(), "px", "pixels"),
    ("box", pa.list_(pa.int32()), "px", _BOX),
    ("centroid", pa.list_(pa.float64()), "px", "x, y of the mean pixel centre; the first is 0.5"),
    ("cells", pa.list_(pa.int64()), "px", "pixels in each cell of the 3 x 3 grid, row by row"),
    ("equivalent_diameter", pa.float64(), "px", "diameter of the disc of the same area"),
    ("eccentricity", pa.float64(), "1", "of the ellipse with the same second central moments"),
    ("solidity", pa.float64(), "1", "area over the area of the convex hull"),
    ("circularity", pa.float64(), "1", "4 pi area / perimeter^2 (Crofton, four directions)"),
    ("euler", pa.int32(), "1", "parts less holes, 8-connected"),
    ("touches_border", pa.bool_(), "", "whether a pixel lies on the image's edge"),
    ("colour", pa.string(), "", "name of the mean colour; null for gray images and without one"),
    ("contrast", pa.float64(), "gray level", "mean inside less that of the surroundings"),
)

_OWN = ("sample", "target", "status", "error", "height", "width", "instances")
"""Fields of a record that are columns of the same name."""

SCHEMA = pa.schema(
    [
        column("sample", pa.string(), "", "id of the image"),
        column("target", pa.string(), "", "name of the mask layer"),
        column("status", pa.string(), "", "ok, empty (no foreground) or failed"),
        column("error", pa.string(), "", "why the sample failed; empty otherwise"),
        column("height", pa.int32(), "px", "of the image; 0 where it failed"),
        column("width", pa.int32(), "px", "of the image; 0 where it failed"),
        column("area_fraction", pa.float64(), "1", "share of the image that the target covers"),
        column("components", pa.int32(), "1", "number of regions, specks among them"),
        column("instances", pa.bool_(), "", "whether regions are the mask's own instances"),
        *[
            column(f"whole_{name}", kind, unit, f"all regions together: {meaning}")
            for name, kind, unit, meaning in _REGION
        ],
        *[
            column(f"region_{name}", pa.list_(kind), unit, f"each region: {meaning}")
            for name, kind, unit, meaning in _REGION
        ],
        column("hygiene_levels", pa.int32(), "1", "different values in the mask file"),
        column("hygiene_fringe", pa.int64(), "px", "pixels neither 0 nor the foreground value"),
        column("hygiene_specks", pa.int32(), "1", "regions below 0.0001 of the image"),
        column("hygiene_findings", pa.list_(pa.string()), "", "what was unclean about the file"),
        column(
            "poudel_coverages",
            pa.list_(pa.float64()),
            "1",
            "share of the image of each 4-connected component, by its pixels of exactly 255",
        ),
        column("poudel_places", pa.list_(pa.string()), "", "medvlsm's place of each component"),
        column("poudel_box", pa.list_(pa.int32()), "px", "medvlsm's merged box x1, y1, x2, y2"),
        column("tganet_boxes", pa.int32(), "1", "boxes that TGANet finds"),
        column("tganet_last_box_share", pa.float64(), "1", "area of the last over the image's"),
    ]
)


def records_table(records: Iterable[Record]) -> pa.Table:
    """Return records as a table, one row each; what a record does not have is null."""
    return pa.Table.from_pylist([_row(record) for record in records], schema=SCHEMA)


def records_from(table: pa.Table) -> list[Record]:
    """Return the records of a table that `records_table` made, equal to those it was made of."""
    return [_record(row) for row in table.select(SCHEMA.names).to_pylist()]


def _row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: getattr(record, name) for name in (*_OWN, "area_fraction", "components")
    }
    for name, *_ in _REGION:
        row[f"whole_{name}"] = record.whole and getattr(record.whole, name)
        row[f"region_{name}"] = [getattr(region, name) for region in record.regions]
    for prefix, _, names in _PARTS:
        measured = getattr(record, prefix)
        for name in names:
            row[f"{prefix}_{name}"] = measured and getattr(measured, name)
    return row


_PARTS: tuple[tuple[str, type[Any], tuple[str, ...]], ...] = (
    ("hygiene", Hygiene, ("levels", "fringe", "specks", "findings")),
    ("poudel", PoudelMeasures, ("coverages", "places", "box")),
    ("tganet", TganetMeasures, ("boxes", "last_box_share")),
)


def _record(row: dict[str, Any]) -> Record:
    names = [name for name, *_ in _REGION]
    whole = [row[f"whole_{name}"] for name in names]
    regions = zip(*(row[f"region_{name}"] for name in names), strict=True)
    parts = {
        prefix: _part(kind, [row[f"{prefix}_{name}"] for name in fields])
        for prefix, kind, fields in _PARTS
    }
    return Record(
        row["sample"],
        row["target"],
        row["status"],
        row["error"],
        row["height"],
        row["width"],
        _part(Region, whole),
        tuple(_part(Region, list(values)) for values in regions),
        row["instances"],
        **parts,
    )


def _part(kind: type[Any], values: list[Any]) -> Any:  # noqa: ANN401 - one of four dataclasses
    """Return a dataclass of `values`, of which none is null; None where the first is null."""
    if values[0] is None:
        return None
    return kind(*(tuple(value) if isinstance(value, list) else value for value in values))
