"""Which images of a segmentation dataset are in which split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from pipeline.errors import DataError
from stages.download.schema import SPLITS, Split
from stages.download.segmenting.lists import comparable
from stages.download.segmenting.reading import Entry
from stages.download.segmenting.schema import EVERYTHING, SegmentationDataset, SplitSet

SHOWN = 5
"""Names that a message shows of a longer list."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The rows of each split."""

    rows: Mapping[Split, tuple[int, ...]]
    """Positions of its images among the entries, in their order."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """What is worth knowing of published lists: `rows` of each, names `repeated` within one, names
    `shared` by several splits, and how many images are `unlisted`."""


def membership(
    dataset: SegmentationDataset,
    entries: Sequence[Entry],
    lists: Mapping[Split, Sequence[str]],
) -> Membership:
    """Return which entries are in which split.

    Parameters
    ----------
    lists
        Names of the published list of each split, comparable; only of a split set with files.

    Raises
    ------
    DataError
        When a list has another number of rows than declared or names an image that is not there or
        is there twice, or a split has another number of images than declared.
    """
    chosen = dataset.split_set
    if chosen.name == EVERYTHING:
        rows: dict[Split, tuple[int, ...]] = {"test": tuple(range(len(entries)))}
        report: dict[str, Any] = {}
    elif chosen.files is not None:
        rows = {split: _listed(dataset, split, lists[split], entries) for split in lists}
        report = _report(entries, lists, rows)
    else:
        rows = {
            split: _in_folders(entries, chosen.folders[split])
            for split in SPLITS
            if split in chosen.folders
        }
        report = {}
    for split, count in chosen.counts().items():
        if not rows[split] or (count is not None and len(rows[split]) != count):
            raise DataError(_miscounted(dataset, split, len(rows[split]), count, lists))
    return Membership(rows, report)


def _listed(
    dataset: SegmentationDataset, split: Split, names: Sequence[str], entries: Sequence[Entry]
) -> tuple[int, ...]:
    """Return the rows that a list names."""
    declared = dataset.split_set.listed.get(split)
    if declared is not None and len(names) != declared:
        message = (
            f"{dataset.id}/{split}: its published list has {len(names)} rows, the manifest says "
            f"listed.{split} = {declared}"
        )
        raise DataError(message)
    images = _by(comparable(entry.listed_as or entry.stem) for entry in entries)
    patients = _by(comparable(entry.patient or "") for entry in entries)
    patients.pop("", None)
    found: set[int] = set()
    missing, unclear = [], []
    for name in dict.fromkeys(names):
        rows = images.get(name)
        if rows is None:
            rows = patients.get(name, [])
            if not rows:
                missing.append(name)
        elif len(rows) > 1:
            unclear.append(name)
        found.update(rows)
    if missing:
        message = (
            f"{dataset.id}/{split}: of {len(set(names))} names that its published list has, "
            f"{len(missing)} are of no image: {shown(missing)}"
        )
        raise DataError(message)
    if unclear:
        message = (
            f"{dataset.id}/{split}: {len(unclear)} names of its published list are of several "
            f"images: {shown(unclear)}; say how lists name images (listed_as of the reader)"
        )
        raise DataError(message)
    return tuple(sorted(found))


def _by(keys: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def _report(
    entries: Sequence[Entry],
    lists: Mapping[Split, Sequence[str]],
    rows: Mapping[Split, Sequence[int]],
) -> dict[str, Any]:
    times = Counter(row for chosen in rows.values() for row in chosen)
    repeated = {
        split: sorted(name for name, count in Counter(names).items() if count > 1)
        for split, names in lists.items()
    }
    return {
        "rows": {split: len(names) for split, names in lists.items()},
        "repeated": {split: names for split, names in repeated.items() if names},
        "shared": {
            entries[row].path: [split for split in rows if row in rows[split]]
            for row, count in sorted(times.items())
            if count > 1
        },
        "unlisted": len(entries) - len(times),
    }


def _in_folders(entries: Sequence[Entry], beginnings: Sequence[str]) -> tuple[int, ...]:
    starts = tuple(normalize("NFC", each) for each in beginnings)
    return tuple(
        row for row, entry in enumerate(entries) if normalize("NFC", entry.path).startswith(starts)
    )


def _miscounted(
    dataset: SegmentationDataset,
    split: Split,
    found: int,
    declared: int | None,
    lists: Mapping[Split, Sequence[str]],
) -> str:
    said = "" if declared is None else f"; the manifest says {declared}"
    listed = f" in {len(lists[split])} rows of its published list" if split in lists else ""
    hint = "" if found else f" ({_where(dataset.split_set, split)})"
    return f"{dataset.id}/{split}: the source has {found} different images{listed}{hint}{said}"


def _where(chosen: SplitSet, split: Split) -> str:
    if chosen.folders:
        return f"no image path begins with {' or '.join(chosen.folders[split])}"
    return "no file matches the reader's pattern of images"


def shown(names: Sequence[str]) -> str:
    """Return the first of many names for a message."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
