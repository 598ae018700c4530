"""Parquet files that Hugging Face `datasets` loads, with images and class names as features.

One configuration per set, as listed at the head of README.md; the features are in each file's own
metadata too, so that single files load as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.exchange.contract import Format, Piece, ranges
from stages.exchange.exported_set import ExportedSet, safe_name
from stages.exchange.pictures import png

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 100
"""Rows of a group: what the hub's viewer wants of images."""
_TEXT = {"dtype": "string", "_type": "Value"}
_IMAGE = {"_type": "Image"}


def config_of(one: ExportedSet) -> str:
    """Return the name of a set's configuration: the set's name with dots, without the split."""
    parts = [one.dataset] if one.is_clean else [one.suite, one.dataset, one.corruption]
    return ".".join(parts + [str(one.severity)] * (not one.is_clean))


def pieces(sets: Sequence[ExportedSet]) -> list[Piece]:
    """Return one file per part of a set."""
    found = []
    for one in sets:
        parts = list(ranges(one))
        for number, (start, stop) in enumerate(parts):
            name = f"{one.split}-{number:05d}-of-{len(parts):05d}.parquet"
            path = f"data/{config_of(one)}/{name}"
            nbytes = one.nbytes * (stop - start) // max(1, len(one))
            found.append(
                Piece(
                    f"{one.name} {name}",
                    stop - start,
                    nbytes,
                    partial(_write, one, path, start, stop),
                )
            )
    return found


def mask_column(target: str) -> str:
    """Return the column of the masks of a target."""
    return f"mask_{safe_name(target)}"


def features_of(one: ExportedSet) -> dict[str, Any]:
    """Return the features of a set, as `datasets` writes them."""
    found: dict[str, Any] = {"id": _TEXT, "image": _IMAGE}
    if one.has_masks:
        found |= {mask_column(target): _IMAGE for target in one.targets}
    elif one.is_multi_label:
        found["labels"] = {"feature": {"dtype": "int8", "_type": "Value"}, "_type": "List"}
    else:
        found["label"] = {"names": list(one.classes), "_type": "ClassLabel"}
    found |= dict.fromkeys(one.passed_on(0, 0), _TEXT)
    found |= dict.fromkeys(("suite", "dataset", "split", "corruption"), _TEXT)
    return found | {"severity": {"dtype": "int64", "_type": "Value"}}


def _schema(one: ExportedSet) -> pa.Schema:
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {"Image": image, "ClassLabel": pa.int64(), "List": pa.list_(pa.int8())}
    features = features_of(one)
    fields = [
        (name, kinds.get(of["_type"], pa.int64() if of.get("dtype") == "int64" else pa.string()))
        for name, of in features.items()
    ]
    said = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    return pa.schema(fields, metadata={"huggingface": said})


def _write(one: ExportedSet, name: str, start: int, stop: int, folder: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = _schema(one)
    # Images are compressed already; the other columns are small.
    with pq.ParquetWriter(path, schema, compression="none", write_statistics=False) as writer:
        for first in range(start, stop, _ROWS_AT_ONCE):
            last = min(stop, first + _ROWS_AT_ONCE)
            columns = dict(_columns(one, first, last))
            arrays = [pa.array(columns[field.name], field.type) for field in schema]
            writer.write_table(pa.table(arrays, schema=schema), row_group_size=last - first)
    return [path]


def _columns(one: ExportedSet, start: int, stop: int) -> Iterator[tuple[str, list[Any]]]:
    rows = stop - start
    names = one.file_names()[start:stop]
    yield "id", one.ids(start, stop)
    images = zip(names, one.images(start, stop), strict=True)
    yield "image", [_picture(name, png(image) if image.size else None) for name, image in images]
    if one.has_masks:
        masks = [one.masks_of(row) for row in range(start, stop)]
        for layer, target in enumerate(one.targets):
            drawn = (None if mask is None else png(mask[..., layer]) for mask in masks)
            yield mask_column(target), list(map(_picture, names, drawn))
    else:
        yield "labels" if one.is_multi_label else "label", one.labels(start, stop).tolist()
    yield from one.passed_on(start, stop).items()
    for column in ("suite", "dataset", "split", "corruption", "severity"):
        yield column, [getattr(one, column)] * rows


def _picture(name: str, data: bytes | None) -> dict[str, Any] | None:
    return None if data is None else {"bytes": data, "path": f"{name}.png"}


def header(sets: Sequence[ExportedSet]) -> str:
    """Return the YAML at the head of the card: licences, and a configuration per set."""
    configs: dict[str, list[dict[str, str]]] = {}
    for one in sets:
        path = f"data/{config_of(one)}/{one.split}-*.parquet"
        configs.setdefault(config_of(one), []).append({"split": one.split, "path": path})
    licences = sorted({str(one.attributes["licence"]["spdx"]).lower() for one in sets})
    content: dict[str, Any] = {
        "license": licences[0] if len(licences) == 1 else licences,
        "configs": [{"config_name": name, "data_files": files} for name, files in configs.items()],
    }
    # JSON is YAML, and needs no library to write.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    return "\n".join(["---", *lines, "---", ""]) + "\n"


FORMAT = Format(
    "Hugging Face datasets",
    pieces,
    'datasets.load_dataset("DIR", "CONFIGURATION", split="test")\n'
    'datasets.load_dataset("parquet", data_files="DIR/data/CONFIGURATION/*.parquet")',
    header,
)
