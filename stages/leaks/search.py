"""The samples that two splits share, and how far the search can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.leaks.hashes import CENTRES, WHOLE, hashes, nearest
from stages.leaks.registration import SAME, correlation, likeness

Kind: TypeAlias = Literal["equal", "patient", "file-name", "alike"]
BITS: Final = 8
"""Bits of 64 in which the hashes of images that look alike may differ."""
KEEP: Final = 3
"""Images of the second split that are looked at closely for each image of the first."""
TRIALS: Final = 20_000
"""Pairs of different images of one split that tell how often a hash finds likeness by chance."""
CHECKED: Final = 200
"""Of those found alike, how many are registered."""
_BLOCK: Final = 256  # images in memory at once


@dataclass(frozen=True)
class Samples:
    """One split as the search sees it."""

    ids: Sequence[str]
    digests: Sequence[bytes]
    """Of the pixels."""
    images: Any
    """To be indexed by position, (H, W, C) uint8."""
    patients: Sequence[str | None]
    names: Sequence[str | None]
    """Of the files at their source."""


@dataclass(frozen=True)
class Shared:
    """One pair of samples."""

    kind: Kind
    first: int
    second: int
    bits: int | None = None
    """Bits in which their hashes differ; none where no hash was needed."""
    correlation: float | None = None
    """After registration; none where it was not needed."""

    @property
    def confirmed(self) -> bool:
        """Whether they are the same sample, and not only look so or are called so."""
        if self.kind in {"equal", "patient"}:
            return True
        return self.correlation is not None and self.correlation >= SAME


@dataclass(frozen=True)
class Chance:
    """How often different images of one split are taken for alike."""

    pairs: int
    alike: int
    """Pairs whose hashes differ in at most `BITS` bits."""
    checked: int
    """Of those, how many were registered."""
    same: int
    """Of those, how many reached `SAME`; they may be true duplicates."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return Wilson's interval of the rate of `alike`."""
        from scipy.stats import binomtest

        found = binomtest(self.alike, max(1, self.pairs)).proportion_ci(confidence, "wilson")
        return float(found.low), float(found.high)


def shared(first: Samples, second: Samples, *, cut: bool, workers: int) -> list[Shared]:
    """Return the pairs that two splits share, each by its strongest reason.

    Equal pixels first, then one file's name, then likeness. Patients are told once for each
    patient, and only within a dataset, where their names mean the same.

    Parameters
    ----------
    first, second : Samples
    cut : bool
        Whether they are of different collections, that may have cut images differently: then
        centres are compared too, and patients are not.
    workers : int
        Threads.
    """
    found = {(one.first, one.second): one for one in _equal(first, second)}
    for one in [*_named(first, second), *_alike(first, second, cut=cut, workers=workers)]:
        found.setdefault((one.first, one.second), one)
    patients = [] if cut else _patients(first, second)
    return [*found.values(), *patients]


def chance(samples: Samples, identity: str, workers: int) -> Chance:
    """Return how often the hash calls different images of one split alike.

    Pairs are drawn by a stream of the split's `identity`; of the same patient, or with equal
    pixels, they are left out.
    """
    count = len(samples.ids)
    if count < 2:
        return Chance(0, 0, 0, 0)
    drawn = Stream.of("leaks", identity).below(count, 2 * TRIALS).reshape(-1, 2)
    pairs = [
        (int(a), int(b))
        for a, b in drawn
        if a != b and samples.digests[a] != samples.digests[b] and not _same_patient(samples, a, b)
    ]
    rows = sorted({row for pair in pairs for row in pair})
    place = {row: at for at, row in enumerate(rows)}
    made = _hashed(samples, rows, WHOLE, workers)[:, 0]
    bits = [int(np.bitwise_count(made[place[a]] ^ made[place[b]])) for a, b in pairs]
    alike = [pair for pair, differ in zip(pairs, bits, strict=True) if differ <= BITS]
    looked = alike[:CHECKED]
    same = sum(likeness(samples.images[a], samples.images[b]) >= SAME for a, b in looked)
    return Chance(len(pairs), len(alike), len(looked), same)


def _equal(first: Samples, second: Samples) -> Iterator[Shared]:
    where: dict[bytes, list[int]] = {}
    for row, digest in enumerate(second.digests):
        where.setdefault(digest, []).append(row)
    for row, digest in enumerate(first.digests):
        yield from (Shared("equal", row, other) for other in where.get(digest, ()))


def _patients(first: Samples, second: Samples) -> list[Shared]:
    where = {patient: row for row, patient in enumerate(second.patients) if patient}
    seen: dict[str, Shared] = {}
    for row, patient in enumerate(first.patients):
        if patient and patient in where:
            seen.setdefault(patient, Shared("patient", row, where[patient]))
    return list(seen.values())


def _named(first: Samples, second: Samples) -> Iterator[Shared]:
    """Yield pairs whose files are called the same; a name alone proves nothing, so they are moved.

    Names that many files have, or that are mere numbers, are no names.
    """
    where: dict[str, list[int]] = {}
    for row, name in enumerate(second.names):
        if stem := _stem(name):
            where.setdefault(stem, []).append(row)
    for row, name in enumerate(first.names):
        for other in where.get(_stem(name) or "", ())[:KEEP]:
            moved = likeness(first.images[row], second.images[other])
            yield Shared("file-name", row, other, correlation=moved)


def _alike(first: Samples, second: Samples, *, cut: bool, workers: int) -> Iterator[Shared]:
    centres = CENTRES if cut else WHOLE
    made = [_hashed(one, range(len(one.ids)), centres, workers) for one in (first, second)]
    with ThreadPoolExecutor(workers) as pool:
        blocks = [made[0][start : start + _BLOCK] for start in range(0, len(made[0]), _BLOCK)]
        found = pool.map(lambda block: nearest(block, made[1], BITS, KEEP), blocks)
        pairs = [
            (number * _BLOCK + row, other, bits, centre)
            for number, block in enumerate(found)
            for row, other, bits, centre in block
        ]

        def moved(pair: tuple[int, int, int, int]) -> Shared:
            row, other, bits, centre = pair
            whole, part = first.images[row], second.images[other]
            if centre < 0:
                whole, part = part, whole
            share = centres[abs(centre)]
            value = correlation(part, whole, share) if centre else likeness(whole, part)
            return Shared("alike", row, other, bits, value)

        yield from pool.map(moved, pairs)


def _hashed(
    samples: Samples, rows: Sequence[int], centres: Sequence[float], workers: int
) -> NDArray[np.uint64]:
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    with ThreadPoolExecutor(workers) as pool:
        made = list(
            pool.map(lambda block: hashes((samples.images[row] for row in block), centres), blocks)
        )
    return np.concatenate(made) if made else np.empty((0, len(centres)), np.uint64)


def _same_patient(samples: Samples, first: int, second: int) -> bool:
    patient = samples.patients[first]
    return bool(patient) and patient == samples.patients[second]


def _stem(name: str | None) -> str | None:
    stem = PurePosixPath(name).stem.lower() if name else ""
    return stem if any(letter.isalpha() for letter in stem) else None
