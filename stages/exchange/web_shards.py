"""WebDataset shards as LAION's CLIP_benchmark reads them.

One folder per dataset, with `classnames.txt` and `zeroshot_classification_templates.txt` (and
`dataset_type.txt` for a multi-label one), and in it one folder per set, which is what that tool
calls a split: `test` for the clean one, ``test_<corruption>_severity_<k>`` for the others. Each has
`nshards.txt` and the shards `0.tar`, `1.tar`, ... Samples are a PNG, the class id (`cls`, or `npy`
of 0 and 1), and `json` with the id, which that tool does not ask for.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stages.exchange.contract import Format, Piece, ranges, require_labels, require_one_suite
from stages.exchange.exported_set import ExportedSet
from stages.exchange.pictures import png

NAME = "webdataset"
_ROWS = 2048
"""Most samples of a shard: small enough that several workers have something to do."""


def split_of(one: ExportedSet) -> str:
    """Return the name of a set's folder below its dataset's."""
    corrupted = f"_{one.corruption}_severity_{one.severity}"
    return one.split + corrupted * (not one.is_clean)


def pieces(sets: Sequence[ExportedSet]) -> list[Piece]:
    """Return one shard each, and the texts of each set."""
    require_labels(sets, NAME)
    require_one_suite(sets, NAME)
    found = []
    for one in sets:
        shards = list(ranges(one, _ROWS))
        found += [
            Piece(
                f"{one.name} shard {number}",
                stop - start,
                one.nbytes * (stop - start) // len(one),
                partial(_write_shard, one, number, start, stop),
            )
            for number, (start, stop) in enumerate(shards)
        ]
        texts = {f"{split_of(one)}/nshards.txt": f"{len(shards)}\n"}
        found.append(Piece(f"{one.name} nshards.txt", 0, 0, partial(_write_texts, one, texts)))
    firsts = {one.dataset: one for one in reversed(sets)}
    for one in firsts.values():
        found.append(
            Piece(f"{one.dataset} classes", 0, 0, partial(_write_texts, one, _texts_of(one)))
        )
    return found


def _texts_of(one: ExportedSet) -> dict[str, str]:
    texts = {"classnames.txt": "".join(f"{' '.join(name.split())}\n" for name in one.classes)}
    if one.templates:
        lines = "".join(f"{template}\n" for template in one.templates)
        texts["zeroshot_classification_templates.txt"] = lines
    if one.is_multi_label:
        texts["dataset_type.txt"] = "multilabel\n"
    return texts


def _write_texts(one: ExportedSet, texts: dict[str, str], folder: Path) -> list[Path]:
    paths = [folder / one.dataset / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return paths


def _write_shard(one: ExportedSet, number: int, start: int, stop: int, folder: Path) -> list[Path]:
    path = folder / one.dataset / split_of(one) / f"{number}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = one.labels(start, stop)
    rows = zip(one.ids(start, stop), labels, one.images(start, stop), strict=True)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for row, (sample, label, image) in enumerate(rows, start):
            said = {"id": sample, "set": one.name, "label": label.tolist()}
            members = [
                ("png", png(image)),
                ("npy", _npy(label)) if label.ndim else ("cls", str(label).encode()),
                ("json", json.dumps(said, ensure_ascii=False).encode()),
            ]
            _add(archive, f"s{row:07d}", members)
    return [path]


def _npy(label: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> bytes:
    memory = io.BytesIO()
    np.save(memory, label, allow_pickle=False)
    return memory.getvalue()


def _add(archive: tarfile.TarFile, key: str, members: Iterable[tuple[str, bytes]]) -> None:
    for suffix, data in members:
        info = tarfile.TarInfo(f"{key}.{suffix}")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


FORMAT = Format(
    "WebDataset, and LAION's CLIP_benchmark",
    pieces,
    "clip_benchmark eval --dataset wds/NAME --dataset_root DIR/DATASET --split SPLIT ...\n"
    'webdataset.WebDataset("DIR/DATASET/SPLIT/{0..N}.tar").decode("pil").to_tuple("png", "cls")',
)
