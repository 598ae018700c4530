"""PNG files in folders, for everything else.

``<set>/<class number>-<class>/<id>.png``; where a sample has several labels
``<set>/images/<id>.png``, and where it has masks ``<set>/masks/<target>/<id>.png`` beside that.
`index.csv` of each set says which file is which sample, and its label. The numbers make the folders
sort as the classes do, so that what numbers classes by folder names (torchvision's ImageFolder)
finds the same labels.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from stages.exchange.contract import Format, Piece, ranges
from stages.exchange.exported_set import ExportedSet, class_folders, safe_name
from stages.exchange.pictures import png

INDEX = "index.csv"
_ROWS = 2048


def pieces(sets: Sequence[ExportedSet]) -> list[Piece]:
    """Return a part of a set's images each, and its index."""
    found = []
    for one in sets:
        for start, stop in ranges(one, _ROWS):
            nbytes = one.nbytes * (stop - start) // max(1, len(one))
            write = partial(_write_images, one, start, stop)
            found.append(Piece(f"{one.name} rows {start} to {stop}", stop - start, nbytes, write))
        found.append(Piece(f"{one.name} {INDEX}", 0, 0, partial(_write_index, one)))
    return found


def _write_images(one: ExportedSet, start: int, stop: int, folder: Path) -> Iterator[Path]:
    root = folder / one.name
    places = _places(one, start, stop)
    masks = [f"masks/{safe_name(target)}" for target in one.targets if one.has_masks]
    for place in (*_folders(one), *masks):
        (root / place).mkdir(parents=True, exist_ok=True)
    names = one.file_names()[start:stop]
    for row, image in enumerate(one.images(start, stop)):
        if not image.size:
            continue  # the index says why there is none
        path = root / places[row] / f"{names[row]}.png"
        path.write_bytes(png(image))
        yield path
        drawn = one.masks_of(start + row) if masks else None
        for layer, place in enumerate(masks if drawn is not None else ()):
            path = root / place / f"{names[row]}.png"
            path.write_bytes(png(drawn[..., layer]))  # type: ignore[index]
            yield path


def _folders(one: ExportedSet) -> list[str]:
    several = one.has_masks or one.is_multi_label
    return ["images"] if several else class_folders(one.classes)


def _places(one: ExportedSet, start: int, stop: int) -> list[str]:
    folders = _folders(one)
    if len(folders) == 1:
        return folders * (stop - start)
    return [folders[label] for label in one.labels(start, stop)]


def _write_index(one: ExportedSet, folder: Path) -> list[Path]:
    path = folder / one.name / INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    passed = one.passed_on()
    ids, names, places = one.ids(), one.file_names(), _places(one, 0, len(one))
    labels = None if one.has_masks else one.labels().tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        own = [] if labels is None else ["labels"] if one.is_multi_label else ["label", "class"]
        writer.writerow(["file", "id", *own, *passed])
        for row, sample in enumerate(ids):
            written = passed.get("status", ["ok"] * len(ids))[row] in {"ok", "no-mask"}
            file_name = f"{places[row]}/{names[row]}.png" if written else ""
            label = [] if labels is None else _label(one, labels[row])
            writer.writerow([file_name, sample, *label, *(of[row] or "" for of in passed.values())])
    return [path]


def _label(one: ExportedSet, label: int | list[int]) -> list[str]:
    if isinstance(label, list):
        return [" ".join(map(str, label))]
    return [str(label), one.classes[label]]


FORMAT = Format(
    "anything that reads PNG files from folders",
    pieces,
    'torchvision.datasets.ImageFolder("DIR/SET", allow_empty=True)',
)
