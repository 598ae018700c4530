"""RobustMedCLIP's files: ``<dataset>/<split>/<corruption>_severity_<k>.npz`` and ``clean.npz``.

Keys: `images` uint8 (N, H, W, 3), gray ones as three equal channels; `labels` int64 (N,). The ids
go along as `ids`, which its loader does not ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from stages.exchange.contract import (
    Format,
    Piece,
    require_different,
    require_labels,
    require_one_suite,
)
from stages.exchange.exported_set import ExportedSet, flag_of
from stages.exchange.npz import Member, whole, write_npz
from stages.vocabulary import CLEAN

NAME = "robustmedclip-npz"


def file_name(corruption: str, severity: int) -> str:
    """Return the name of a set's file; severity 0 is the clean split."""
    return f"{CLEAN}.npz" if severity == 0 else f"{corruption}_severity_{severity}.npz"


def pieces(sets: Sequence[ExportedSet]) -> list[Piece]:
    """Return one file per set."""
    require_labels(sets, NAME)
    require_one_suite(sets, NAME)
    for one in sets:
        if one.is_multi_label:
            message = f"{one.name} has several labels per sample, for which {NAME} has no place"
            raise UsageError(message)
    require_different(sets, _path, NAME)
    return [
        Piece(one.name, len(one), one.nbytes // one.item_shape[2] * 3, partial(_write, one))
        for one in sets
    ]


def _path(one: ExportedSet) -> str:
    return f"{flag_of(one.dataset)}/{one.split}/{file_name(one.corruption, one.severity)}"


def _write(one: ExportedSet, folder: Path) -> list[Path]:
    path = folder / _path(one)
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = one.item_shape
    images = Member("images", np.dtype(np.uint8), (len(one), height, width, 3), _in_colour(one))
    write_npz(path, [images, whole("labels", one.labels()), whole("ids", np.array(one.ids()))])
    return [path]


def _in_colour(one: ExportedSet) -> Iterator[NDArray[np.uint8]]:
    for batch in one.batches():
        yield np.repeat(batch, 3, axis=3) if batch.shape[3] == 1 else batch


FORMAT = Format(
    "RobustMedCLIP's evaluation (its MedDataset)",
    pieces,
    'MedDataset(root="DIR", dataset_name=..., corruption=..., severity=..., split="test")',
)
