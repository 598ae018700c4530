"""Builds the toy in forked processes that are killed, or that run at the same time.

Run as ``python -m tests.pipeline.processes``: a process of its own, because it forks and must
have no other thread at work when it does.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.steps import SteppedDisk
from pipeline.seal import _environment
from pipeline.store import Store
from tests.pipeline.toy import Numbers, Toy, build

SMALL = Toy(rows=5, sums_slots=5).targets()[:1]
"""Two shards of numbers and one of sums: every kind of step, none more often than needed."""

AT_ONCE = 2
"""Builds that are killed at the same time, each in a store of its own."""


class KillingDisk(SteppedDisk):
    """Kills its own process at one step."""

    def __init__(self, fatal: int, note: Path) -> None:
        self._step = 0
        self._fatal = fatal
        self._note = note

    def step(self, moment: str, operation: str, path: Path) -> None:
        if self._step == self._fatal:
            self._note.write_text(f"{moment} {operation} {path}")
            os.kill(os.getpid(), signal.SIGKILL)
        self._step += 1


def kill_everywhere(folder: Path) -> None:
    """Leave in `folder` one store for every step of a build, killed there: ``0``, ``1``, …."""
    os.fsync = lambda _: None  # what a killed process has written stays, synced or not
    _environment()  # what every child would find out anew
    for step in itertools.count(step=AT_ONCE):
        children = [_fork(partial(_kill, folder, step + i)) for i in range(AT_ONCE)]
        statuses = [os.waitpid(child, 0)[1] for child in children]
        if not all(map(os.WIFSIGNALED, statuses)):  # the steps after the last
            sys.exit(any(not os.WIFSIGNALED(status) and status for status in statuses))


def build_together(root: Path, count: int, *, leases: bool, noise: float) -> None:
    """Build the toy in `count` processes that begin at the same moment; exit 1 if one fails."""
    if not leases:
        Store.lease = lambda *_: contextlib.nullcontext()  # type: ignore[method-assign]
    _environment()
    waiting, starting = os.pipe()

    def build_one(number: int) -> None:
        os.close(starting)
        os.read(waiting, 1)  # returns in all of them when the parent closes its end
        numbers = Numbers(noise=noise * number / count)
        toy = Toy(tolerance=noise or None, numbers_stage=numbers)
        build(root, toy.targets(), workers=2).raise_failures()

    children = [_fork(partial(build_one, number)) for number in range(count)]
    os.close(starting)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    sys.exit(any(statuses))


def _kill(folder: Path, step: int) -> None:
    disk = KillingDisk(step, folder / f"{step}.txt")
    build(folder / str(step), SMALL, disk=disk).raise_failures()


def _fork(work: Callable[[], None]) -> int:
    """Run `work` in a child process, which exits with 1 if it raises; return the child's id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    return child


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--together", type=int, default=0)
    parser.add_argument("--without-leases", action="store_true")
    parser.add_argument("--noise", type=float, default=0.0)
    given = parser.parse_args()
    if given.together:
        leases = not given.without_leases
        build_together(given.folder, given.together, leases=leases, noise=given.noise)
    else:
        kill_everywhere(given.folder)


if __name__ == "__main__":
    main()
