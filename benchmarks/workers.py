"""How much faster several worker processes of dask build corruptions than one does.

``python -m benchmarks.workers [--images N] [--rounds N] [--workers N,N] [--folder DIR] [--quick]``
makes a labelled folder of N generated images of 224 x 224 x 3, builds its clean split, and then, in
turn, runs ``pipeline build corruptions --scheduler processes`` (35 sets) with 1, 2 and 4 workers.
It prints the median wall time of the whole command, of its units alone (what the log tells, without
the start of Python and of the workers), and the ratios to one worker. The store is in DIR, by
default in memory (/dev/shm, of which 2,000 images take 11 GB), so that no disk is measured. What a
command takes to start and to end is the same for any number of workers, so a ratio needs a build of
half a minute. With --quick it only shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.generated import GeneratedDataset

TARGETS = {2: 1.8, 4: 3.2}
"""Smallest ratio of wall times by workers."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--quick", action="store_true", help="8 images, one round, 1 and 2 workers")
    given = parser.parse_args()
    images, rounds = (8, 1) if given.quick else (given.images, given.rounds)
    counts = [1, 2] if given.quick else [int(text) for text in given.workers.split(",")]
    folder = given.folder if given.folder.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="workers-", dir=folder) as scratch:
        bench = Bench(Path(scratch), images)
        turns = [{count: bench.seconds(count) for count in counts} for _ in range(rounds)]
    print(f"{images} images, 35 sets, median of {rounds} rounds")
    for position, name in enumerate(("command", "units")):
        of = {n: statistics.median(turn[n][position] for turn in turns) for n in counts}
        for count, seconds in of.items():
            ratio = of[counts[0]] / seconds
            wanted = f" (target {TARGETS[count]})" if count in TARGETS and not given.quick else ""
            print(f"{name:<8} {count} workers {seconds:8.2f} s   ratio {ratio:5.2f}{wanted}")


class Bench:
    """A dataset and the folder that its sets are built in, again and again."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._dataset = GeneratedDataset(folder, count)
        self._dataset.build("datasets", 2)

    def seconds(self, workers: int) -> tuple[float, float]:
        """Return the wall time of a build, and that of its units alone."""
        log = self._folder / "log.jsonl"
        log.unlink(missing_ok=True)
        started = time.perf_counter()
        options = ("--scheduler", "processes", "--log", str(log))
        self._dataset.build("corruptions", workers, *options)
        seconds = time.perf_counter() - started
        shutil.rmtree(self._dataset.store / "corruptions")
        last = json.loads(log.read_text().splitlines()[-1])
        return seconds, float(last["seconds"])


if __name__ == "__main__":
    main()
