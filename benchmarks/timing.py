"""Seconds that calls take, for the other benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(calls: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Return the seconds of each call in each round, called in turn after one to warm up."""
    for call in calls:
        call()
    taken = [[seconds(call) for call in calls] for _ in range(rounds)]
    return [list(times) for times in zip(*taken, strict=True)]
