"""`verify` of a store, in bytes per second, against what the disk itself gives.

    python -m benchmarks.verify --folder DIR [--gigabytes 2] [--workers 4]

A store of generated sets is made in a folder of its own in DIR. Each reading is done twice: cold,
after the kernel was asked to forget the files (no other user's), and warm, from the page cache. The
disk's own speed is that of plain sequential reads of the same files by as many threads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.artifact import Artifact
from pipeline.plan import make_plan
from pipeline.recipe import Recipe
from pipeline.runner import Manner, run
from pipeline.shards import rows_per_shard
from pipeline.store import Store
from pipeline.tables import column
from pipeline.unit import Node, Unit, UnitWriter
from pipeline.verify import verify

PIECE = 4 << 20


class Noise:
    """Writes images of noise: of what is in them nothing depends."""

    parallel = True

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one shard."""
        del inputs
        side = int(unit.recipe.parameters["side"])
        images = writer.array("images", "uint8", (side, side, 3))
        noise = np.random.default_rng(unit.start).integers(0, 256, PIECE, np.uint8)
        for position, image in enumerate(images):
            start = position * 97 % 1000
            image.reshape(-1)[:] = np.resize(noise[start:], image.size)
        schema = pa.schema([column("id", pa.string(), "", "id of the row")])
        ids = [f"image-{row:08d}" for row in range(unit.start, unit.stop)]
        writer.table(pa.table([ids], schema=schema))


def main() -> None:
    """Print bytes per second of `verify` and of the disk, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 28])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="verify-", dir=given.folder))
    head = ("images", "cache", "disk GB/s", "verify GB/s", "ratio")
    print("{:<10} {:<6} {:>10} {:>12} {:>7}".format(*head))
    try:
        for side in given.sides:
            root = place / str(side)
            build(root, side, given.gigabytes)
            for cache in ("cold", "warm"):
                disk = speed(root, lambda root=root: plain(root, given.workers), cache)
                own = speed(root, lambda root=root: checked(root, given.workers), cache)
                print(f"{side:>4}²      {cache:<6} {disk:>10.2f} {own:>12.2f} {own / disk:>7.2f}")
            shutil.rmtree(root)
    finally:
        shutil.rmtree(place)


def build(root: Path, side: int, gigabytes: float) -> None:
    """Make a store of sets of a thousand images or fewer shards than a hundred."""
    item = side * side * 3
    slots = rows_per_shard(item, 10**9)
    shards = max(1, round(gigabytes * 1e9 / (item * slots)))
    nodes = [
        Node(Recipe("sets", f"noise/{n}", 1, {"side": side, "n": n}), Noise(), slots, item, slots)
        for n in range(shards)
    ]
    store = Store(root)
    run(store, make_plan(store, nodes), Manner(2)).raise_failures()


def speed(root: Path, read: Callable[[], None], cache: str) -> float:
    """Return the GB/s of a reading of a store."""
    files = [path for path in root.rglob("*") if path.is_file()]
    nbytes = sum(path.stat().st_size for path in files)
    if cache == "cold":
        os.sync()
        for path in files:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        plain(root, 1)
    started = time.perf_counter()
    read()
    return nbytes / (time.perf_counter() - started) / 1e9


def plain(root: Path, workers: int) -> None:
    """Read every file from beginning to end."""
    files: Sequence[Path] = [path for path in root.rglob("*") if path.is_file()]

    def read(path: Path) -> None:
        buffer = bytearray(PIECE)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(read, files))


def checked(root: Path, workers: int) -> None:
    """Verify the store."""
    problems = verify(Store(root), workers=workers, processes=True)
    if problems:
        raise SystemExit(problems[0])


if __name__ == "__main__":
    main()
