"""Time of one image per corruption, ours against imagecorruptions, on one thread in one run.

``python benchmarks/corruptions.py [--repeats N]`` prints, for the seven corruptions of medimeta-c
at 224 x 224 x 3, the mean over severities of the median time, and the ratio reference / ours.
Calls alternate, so that both see the same machine. Compilation is excluded. A second table gives
the throughput of 1, 2 and 4 threads in one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stages.corrupt import corrupt
from stages.corrupt.reference import reference_corrupt
from stages.corrupt.rendering import shipped_suite
from stages.corrupt.testing import generated_image

SHAPE = (224, 224, 3)
SUITE = "medimeta-c"
SEVERITIES = range(1, 6)


def main() -> None:
    """Run both measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="calls per severity")
    repeats = parser.parse_args().repeats
    names = [corruption.name for corruption in shipped_suite(SUITE).corruptions]
    image = generated_image(SHAPE)
    single_threaded(image, names, repeats)
    threads(image, names)


def single_threaded(image: NDArray[np.uint8], names: list[str], repeats: int) -> None:
    """Print milliseconds per image and ratios."""
    import cv2

    cv2.setNumThreads(1)
    print(f"{'corruption':<16}{'reference ms':>14}{'ours ms':>10}{'ratio':>8}")
    totals = [0.0, 0.0]
    for name in names:
        times = [0.0, 0.0]
        for severity in SEVERITIES:
            ours = partial(corrupt, image, name, severity, sample="benchmark")
            theirs = partial(reference_corrupt, image, name, severity, seed=0)
            pair = medians([theirs, ours], repeats)
            times = [
                total + 1e3 * new / len(SEVERITIES) for total, new in zip(times, pair, strict=True)
            ]
        totals = [total + new for total, new in zip(totals, times, strict=True)]
        print(f"{name:<16}{times[0]:>14.3f}{times[1]:>10.3f}{times[0] / times[1]:>8.1f}")
    print(f"{'all':<16}{totals[0]:>14.3f}{totals[1]:>10.3f}{totals[0] / totals[1]:>8.1f}")


def medians(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median seconds of each call, called in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def threads(image: NDArray[np.uint8], names: list[str]) -> None:
    """Print images per second of all corruptions with 1, 2 and 4 threads."""
    tasks = [(name, severity) for name in names for severity in SEVERITIES] * 20

    def one(task: tuple[str, int]) -> None:
        corrupt(image, *task, sample="benchmark")

    rates: dict[int, list[float]] = {1: [], 2: [], 4: []}
    for _ in range(5):
        for count, taken in rates.items():
            with ThreadPoolExecutor(count) as pool:
                start = time.perf_counter()
                list(pool.map(one, tasks))
                taken.append(len(tasks) / (time.perf_counter() - start))
    single = statistics.median(rates[1])
    print(f"\nthreads on {os.cpu_count()} cores, median of 5 interleaved runs")
    for count, taken in rates.items():
        rate = statistics.median(taken)
        print(f"{count:>3} {rate:>10.0f} images/s {rate / single:>6.2f} x")


if __name__ == "__main__":
    main()
