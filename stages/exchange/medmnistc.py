"""MedMNIST-C's files: ``<flag>/<corruption>.npz`` with all five severities one after the other.

Keys: `test_images` uint8 (5N, H, W) or (5N, H, W, 3), `test_labels` uint8 (5N, L). Clean splits
become MedMNIST's own ``<flag>_<size>.npz`` with `{train,val,test}_{images,labels}`. The ids go
along as `{split}_ids`, which neither loader asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from stages.exchange.contract import Format, Piece, require_labels, require_one_suite
from stages.exchange.exported_set import ExportedSet, flag_of, size_of
from stages.exchange.npz import Member, whole, write_npz
from stages.vocabulary import SEVERITIES

NAME = "medmnistc-npz"
SPLIT = "test"


def pieces(sets: Sequence[ExportedSet]) -> list[Piece]:
    """Return one file per dataset and corruption, and one for all clean splits of a dataset."""
    require_labels(sets, NAME)
    require_one_suite(sets, NAME)
    groups: dict[str, list[ExportedSet]] = {}
    for one in sets:
        if one.is_clean:
            side = size_of(one.dataset).removeprefix("28")
            path = flag_of(one.dataset) + f"_{side}" * bool(side) + ".npz"
        else:
            _require_test(one)
            path = f"{flag_of(one.dataset)}/{one.corruption}.npz"
        groups.setdefault(path, []).append(one)
    return [_piece(path, members) for path, members in groups.items()]


def _piece(path: str, members: Sequence[ExportedSet]) -> Piece:
    names = sorted({one.dataset for one in members})
    if len(names) > 1:
        message = f"{' and '.join(names)} are both {path} in {NAME}: export them one by one"
        raise UsageError(message)
    ordered = sorted(members, key=lambda one: one.severity)
    severities = [one.severity for one in ordered]
    if severities[0] and severities != [*SEVERITIES]:
        found = ", ".join(map(str, severities))
        message = (
            f"{NAME} keeps severities 1 to {SEVERITIES[-1]} of {ordered[0].corruption} in one "
            f"file: select all of them (selected: {found})"
        )
        raise UsageError(message)
    rows, nbytes = sum(map(len, ordered)), sum(one.nbytes for one in ordered)
    return Piece(path, rows, nbytes, partial(_write, path, ordered))


def _require_test(one: ExportedSet) -> None:
    if one.split != SPLIT:
        message = f"{one.name}: {NAME} has corrupted images of the test split only"
        raise UsageError(message)


def _write(name: str, members: Sequence[ExportedSet], folder: Path) -> list[Path]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    by_split: dict[str, list[ExportedSet]] = {}
    for one in members:
        by_split.setdefault(one.split, []).append(one)
    arrays = [array for split, sets in by_split.items() for array in _arrays(split, sets)]
    write_npz(path, arrays)
    return [path]


def _arrays(split: str, sets: Sequence[ExportedSet]) -> Iterator[Member]:
    height, width, channels = sets[0].item_shape
    shape = (height, width) if channels == 1 else (height, width, channels)
    rows = sum(map(len, sets))
    labels = np.concatenate([_columns(one.labels()) for one in sets])
    ids = np.array([name for one in sets for name in one.ids()])
    yield Member(f"{split}_images", np.dtype(np.uint8), (rows, *shape), _images(sets))
    yield whole(f"{split}_labels", labels)
    yield whole(f"{split}_ids", ids)


def _columns(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return (labels[:, None] if labels.ndim == 1 else labels).astype(np.uint8)


def _images(sets: Sequence[ExportedSet]) -> Iterator[NDArray[np.uint8]]:
    for one in sets:
        for batch in one.batches():
            yield batch[..., 0] if batch.shape[3] == 1 else batch


FORMAT = Format(
    "MedMNIST-C's CorruptedMedMNIST, and medmnist itself for clean splits",
    pieces,
    'CorruptedMedMNIST(dataset_name=..., corruption=..., root="DIR")\n'
    'medmnist.PneumoniaMNIST(split="test", root="DIR", size=...)  # a clean split',
)
