"""A whole build of the seven corruptions, against a script with imagecorruptions and its own parts.

``python -m benchmarks.build [--images N] [--reference-images N] [--rounds N] [--folder DIR]``
makes a labelled folder of N generated images of 224 x 224 x 3, builds its clean split, and then, in
turn: runs ``pipeline build corruptions`` (35 sets) on all cores; runs a script of four processes
that reads the same images from one npz and writes one uncompressed npz per set, rendered by
imagecorruptions; and measures how fast this machine renders, hashes and writes the same bytes when
it does nothing else. It prints the ratio of wall times, and the build's throughput as a share of
1 / (1/render + 1/hash + 1/write). Give --folder to say on which disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import blake3
import numpy as np
from numpy.typing import NDArray

from benchmarks.generated import GeneratedDataset
from benchmarks.timing import seconds
from pipeline.disk import BLOCK, Disk
from stages.corrupt.reference import reference_corrupt
from stages.corrupt.rendering import SUITES, render_rows, sample_stream

SUITE = SUITES["medimeta-c"]
SETS = [(corruption, severity) for corruption in SUITE.corruptions for severity in range(1, 6)]
CORES = os.cpu_count() or 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--reference-images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write, on the disk to be measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder:
        bench = Bench(Path(folder), given.images, given.reference_images)
        rows = [bench.round() for _ in range(given.rounds)]
    names = list(rows[0])
    print(
        f"{given.images} images, {len(SETS)} sets, {CORES} cores, median of {given.rounds} rounds"
    )
    for name in names:
        values = sorted(row[name] for row in rows)
        middle = statistics.median(values)
        print(f"{name:<40}{middle:>10.2f}   ({values[0]:.2f} to {values[-1]:.2f})")


class Bench:
    """Images of one benchmark and the folder it writes to."""

    def __init__(self, folder: Path, count: int, reference_count: int) -> None:
        self._folder = folder
        self._dataset = GeneratedDataset(folder, count)
        self._images = self._dataset.images
        self._reference_count = min(count, reference_count)
        self._bytes = self._images.nbytes * len(SETS)
        np.savez(folder / "clean.npz", images=self._images[: self._reference_count])
        self._dataset.build("datasets", CORES)

    def round(self) -> dict[str, float]:
        """Run everything once."""
        build = seconds(lambda: self._dataset.build("corruptions", CORES))
        shutil.rmtree(self._dataset.store / "corruptions")
        reference = seconds(self._reference) * len(self._images) / self._reference_count
        rates = {"render": self._rate(self._render), "hash": self._rate(self._hash)}
        rates["write"] = self._rate(self._write)
        serial = 1 / sum(1 / rate for rate in rates.values())
        built = self._bytes / build / 1e6
        return {
            "build, s": build,
            "imagecorruptions in 4 processes, s": reference,
            "ratio of wall times": reference / build,
            "build, MB/s": built,
            **{f"{name} alone, MB/s": rate for name, rate in rates.items()},
            "share of 1/(1/render + 1/hash + 1/write)": built / serial,
        }

    def _reference(self) -> None:
        jobs = [(self._folder, corruption.name, severity) for corruption, severity in SETS]
        with get_context("spawn").Pool(4) as pool:
            pool.map(_one_npz, jobs, chunksize=1)

    def _rate(self, work: Callable[[], None]) -> float:
        """Return megabytes a second of work on all sets."""
        return self._bytes / seconds(work) / 1e6

    def _render(self) -> None:
        def one(job: int) -> None:
            corruption, severity = SETS[job]
            streams = [
                sample_stream(0, "bench", n, corruption.name, severity)
                for n in range(len(self._images))
            ]
            out = _buffers(job, self._images)
            render_rows(self._images, corruption, severity, SUITE, streams, out)

        _in_threads(one)

    def _hash(self) -> None:
        _in_threads(lambda job: blake3.blake3(_buffers(job, self._images)).digest())

    def _write(self) -> None:
        def one(job: int) -> None:
            path = self._folder / f"written-{job}"
            Disk().write(path, [_buffers(job, self._images).reshape(-1).data])
            path.unlink()

        _in_threads(one)


_KEPT: dict[int, NDArray[np.uint8]] = {}


def _buffers(job: int, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the memory that a thread writes to, aligned like a shard's; one for each core."""
    if job % CORES not in _KEPT:
        raw = np.zeros(images.nbytes + BLOCK, np.uint8)
        start = -raw.ctypes.data % BLOCK
        _KEPT[job % CORES] = raw[start : start + images.nbytes].reshape(images.shape)
    return _KEPT[job % CORES]


def _in_threads(one: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, range(len(SETS))))


def _one_npz(job: tuple[Path, str, int]) -> None:
    folder, corruption, severity = job
    with np.load(folder / "clean.npz", allow_pickle=False) as arrays:
        images = arrays["images"]
    rendered = [
        reference_corrupt(image, corruption, severity, seed=n) for n, image in enumerate(images)
    ]
    path = folder / f"{corruption}_severity_{severity}.npz"
    np.savez(path, images=np.stack(rendered))
    path.unlink()


if __name__ == "__main__":
    main()
