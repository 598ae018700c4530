"""Time of one image per corruption, ours against imagecorruptions, on one thread in one run.

``python -m benchmarks.corruptions [--suite imagenet-c] [--rounds N] [--threads-only]`` prints, for
every corruption of a suite that the package has, at 224 x 224 x 3, the mean over severities of the
median time of one image, and the ratio reference / ours. Both render the same images in turn, ours
by `corrupt_batch` on one thread. Compilation is excluded. A second table gives the throughput of
`corrupt_batch` on 1, 2 and 4 threads in one process, over all corruptions of the suite.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from benchmarks.timing import in_turn
from stages.corrupt import corrupt_batch
from stages.corrupt.golden import generated_image
from stages.corrupt.reference import reference_corrupt
from stages.corrupt.rendering import SUITES
from stages.vocabulary import SEVERITIES

SHAPE = (224, 224, 3)
OURS, THEIRS = 16, 2
"""Images a round: a batch of ours fits the processor's cache like those of a build."""


def main() -> None:
    """Run both measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="medimeta-c")
    parser.add_argument("--rounds", type=int, default=7, help="per severity")
    parser.add_argument("--threads-only", action="store_true")
    given = parser.parse_args()
    suite = SUITES[given.suite]
    if suite.package is None:
        parser.error(f"the package has no suite {suite.id}")
    names = [corruption.name for corruption in suite.corruptions]
    images = np.stack([generated_image(SHAPE, str(n)) for n in range(OURS)])
    if not given.threads_only:
        single_threaded(suite.id, images, names, given.rounds)
    threads(suite.id, images, names)


def single_threaded(suite: str, images: NDArray[np.uint8], names: list[str], rounds: int) -> None:
    """Print milliseconds per image and ratios."""
    import cv2

    cv2.setNumThreads(1)
    print(f"{'corruption':<20}{'reference ms':>14}{'ours ms':>10}{'ratio':>8}")
    times = {name: _milliseconds(suite, images, name, rounds) for name in names}
    for name, pair in times.items():
        _print(name, *pair)
    _total("all", list(times.values()))
    if "glass_blur" in times:
        _total("all but glass_blur", [pair for n, pair in times.items() if n != "glass_blur"])


def _milliseconds(
    suite: str, images: NDArray[np.uint8], name: str, rounds: int
) -> tuple[float, float]:
    """Return the milliseconds of one image, the reference's and ours, mean over severities."""
    few = 1 if name == "glass_blur" else rounds

    def theirs(severity: int) -> None:
        for n, image in enumerate(images[:THEIRS]):
            reference_corrupt(image, name, severity, seed=n)

    totals = [0.0, 0.0]
    for severity in SEVERITIES:
        ours = partial(
            corrupt_batch, images, name, severity, suite=suite, samples=range(OURS), threads=1
        )
        theirs_s, ours_s = map(statistics.median, in_turn([partial(theirs, severity), ours], few))
        totals[0] += 1e3 * theirs_s / THEIRS / len(SEVERITIES)
        totals[1] += 1e3 * ours_s / OURS / len(SEVERITIES)
    return totals[0], totals[1]


def _total(label: str, pairs: list[tuple[float, float]]) -> None:
    _print(label, sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs))


def _print(label: str, theirs: float, ours: float) -> None:
    print(f"{label:<20}{theirs:>14.3f}{ours:>10.3f}{theirs / ours:>8.1f}")


def threads(suite: str, images: NDArray[np.uint8], names: list[str]) -> None:
    """Print images per second of all corruptions with 1, 2 and 4 threads.

    Beside it stands how much faster more threads digest memory that stays in each core's cache:
    what the cores of a shared machine give at this moment to work that waits for nothing.
    """
    many = np.concatenate([images] * 16)
    samples = range(len(many))
    tasks = [(name, severity) for name in names if name != "glass_blur" for severity in (1, 3, 5)]

    def render(count: int) -> None:
        for name, severity in tasks:
            corrupt_batch(many, name, severity, suite=suite, samples=samples, threads=count)

    def digest(count: int) -> None:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda image: [blake3(image).digest() for _ in range(40)], many))

    works = {"corrupt_batch": render, "digest alone": digest}
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(5):
        for count in (1, 2, 4):
            for label, work in works.items():
                start = time.perf_counter()
                work(count)
                seconds.setdefault((label, count), []).append(time.perf_counter() - start)
    print(f"\n{os.cpu_count()} cores, median of 5 interleaved runs")
    for (label, count), taken in seconds.items():
        ratios = [one / many for one, many in zip(seconds[label, 1], taken, strict=True)]
        line = f"{label:<16}{count} threads  {statistics.median(ratios):>5.2f} x"
        if label == "corrupt_batch":
            rate = len(tasks) * len(many) / statistics.median(taken)
            line += f"   {rate:.0f} images/s"
        print(line)


if __name__ == "__main__":
    main()
