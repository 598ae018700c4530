"""Moves the files of many artifacts at the same time, and seals each when its files are there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from pipeline.errors import InterruptedRunError, PipelineError
from pipeline.patience import Patience

MOST_FAILURES = 8
"""Failed objects after which no more are begun: the remote itself is in trouble."""

Told = Callable[[int, str], None]
"""Called with bytes that moved (fewer than none where they have to move again) and their label."""


@dataclass
class Moved:
    """Counts bytes that moved and stayed; used by several threads."""

    told: Told
    nbytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, nbytes: int, label: str) -> None:
        """Count bytes, or take back what has to move again."""
        with self.lock:
            self.nbytes += nbytes
        self.told(nbytes, label)

    @contextlib.contextmanager
    def attempt(self, label: str) -> Iterator[Callable[[int], None]]:
        """Yield what counts the bytes of an attempt, all taken back if it fails."""
        sent = 0

        def count(nbytes: int) -> None:
            nonlocal sent
            sent += nbytes
            self.add(nbytes, label)

        try:
            yield count
        except BaseException:
            self.add(-sent, label)
            raise


@dataclass
class Work:
    """The transfer of one artifact."""

    label: str
    steps: Sequence[Callable[[], int]]
    """Each moves a file, or finds it there, and returns how many objects it moved."""
    finish: Callable[[], int]
    """Called once every step is done; the last thing it does makes the artifact exist."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    left: int = 0
    failed: bool = False


@dataclass
class Outcome:
    """How a transfer went."""

    objects: int = 0
    nbytes: int = 0
    artifacts: int = 0
    failures: list[PipelineError] = field(default_factory=list)

    def raise_failures(self) -> None:
        """Raise the first failure of the worst kind, with how many there are."""
        if not self.failures:
            return
        worst = max(self.failures, key=lambda error: error.exit_code)
        more = len(self.failures) - 1
        text = f" (and {more} more failed)" if more else ""
        message = f"{worst}{text}; what is complete is kept: the same command goes on from it"
        raise type(worst)(message)


def carry_out(work: Sequence[Work], workers: int, patience: Patience) -> Outcome:
    """Do all work with several threads; a failure ends one artifact, and many end everything.

    When interrupted, transfers stop at their next piece and what is whole stays.
    """
    outcome = Outcome()
    lock = threading.Lock()

    def run(one: Work, step: Callable[[], int] | None) -> None:
        if len(outcome.failures) >= MOST_FAILURES:
            return
        try:
            moved = step() if step else 0
            with one.lock:
                one.left -= 1 if step else 0
                last = one.left == 0 and not one.failed
            moved += one.finish() if last else 0
        except InterruptedRunError:  # of somebody who stops everything
            raise
        except PipelineError as error:
            one.failed = True
            with lock:
                outcome.failures.append(error)
            return
        with lock:
            outcome.objects += moved
            outcome.artifacts += int(last)

    tasks = ((one, step) for one in work for step in _steps(one))
    threads = max(1, workers)
    with ThreadPoolExecutor(threads) as pool:
        try:
            _finish((partial(pool.submit, run, *task) for task in tasks), 4 * threads)
        except BaseException:
            patience.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return outcome


def _finish(tasks: Iterator[Callable[[], Future[None]]], most: int) -> None:
    """Begin tasks, `most` of them ahead of their end, until all are done or one raises."""
    running: set[Future[None]] = set()
    while True:
        running |= {begin() for begin in islice(tasks, most - len(running))}
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _steps(one: Work) -> Sequence[Callable[[], int] | None]:
    one.left = len(one.steps)
    return one.steps or (None,)
