"""A Zarr v3 group per set, with coordinates and consolidated metadata, for `xarray.open_zarr`.

``<set>.zarr`` holds `images` (sample, y, x, channel) as it is sealed, shard by shard the same
bytes, and by sample `id`, `label` (or `labels` by class), `patient_id` and `original_filepath`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.exchange.contract import Format, Piece, require_labels
from stages.exchange.exported_set import ExportedSet

NAME = "xarray"


def pieces(sets: Sequence[ExportedSet]) -> list[Piece]:
    """Return one group per set."""
    require_labels(sets, NAME)
    return [Piece(one.name, len(one), one.nbytes, partial(_write, one)) for one in sets]


def _write(one: ExportedSet, folder: Path) -> list[Path]:
    root = folder / f"{one.name}.zarr"
    if root.exists():
        shutil.rmtree(root)  # what an interrupted export has begun
    manifest = one.artifact.manifest
    for name in [name for name in manifest.files if name.startswith("images/")]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(manifest.folder / name, root / name)
    described = {"zarr_format": 3, "node_type": "group", "attributes": _attributes(one)}
    (root / "zarr.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    _write_columns(one, root)
    _consolidate(root)
    return sorted(path for path in root.rglob("*") if path.is_file())


def _attributes(one: ExportedSet) -> dict[str, Any]:
    attributes = one.attributes
    licence = attributes["licence"]
    said = {name: attributes[name] for name in ("title", "modality", "task", "citation")}
    return said | {
        "set": one.name,
        "classes": list(one.classes),
        "licence": licence["spdx"],
        "coordinates": "id",
    }


def _write_columns(one: ExportedSet, root: Path) -> None:
    import zarr

    group = zarr.open_group(root, mode="r+")
    for name, axes, values in _columns(one):
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=str if values.dtype.kind == "U" else values.dtype,
            chunks=values.shape,
            dimension_names=axes,
        )
        array[...] = values


def _consolidate(root: Path) -> None:
    """Write what all arrays say of themselves into the group, in the form of zarr-python."""
    path = root / "zarr.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    arrays = {
        file.parent.name: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(root.glob("*/zarr.json"))
    }
    described["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": arrays,
    }
    path.write_text(json.dumps(described, indent=1), encoding="utf-8")


def _columns(one: ExportedSet) -> Iterator[tuple[str, list[str], np.ndarray[Any, Any]]]:
    yield "id", ["sample"], np.array(one.ids())
    if one.is_multi_label:
        yield "labels", ["sample", "class"], one.labels().astype(np.int8)
    else:
        yield "label", ["sample"], one.labels().astype(np.int32)
    for name, values in one.passed_on().items():
        if any(values):
            yield name, ["sample"], np.array([value or "" for value in values])


FORMAT = Format(
    "xarray.open_zarr",
    pieces,
    'xarray.open_zarr("DIR/SET.zarr")',
)
