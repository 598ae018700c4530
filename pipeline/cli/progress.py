"""How long work goes: a bar on a terminal, and a line now and then elsewhere; all on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pipeline.cli.output import say, size
from pipeline.events import (
    ArtifactSealed,
    Event,
    RunFinished,
    RunStarted,
    UnitFailed,
    UnitFinished,
    UnitHeld,
)

LINE_SECONDS = 10.0
"""Least seconds between two lines."""


class Lines:
    """Says a line unless another was said a short while ago."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def tell(self, line: Callable[[], str]) -> None:
        """Say what `line` returns, if it is time for one."""
        if time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            say(line())


class Bar:
    """How much is done of a whole."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._bar: Any = None
        self._task: Any = None

    def start(self, total: float, line: str, *, of_bytes: bool = False) -> None:
        """Draw it at nothing of `total`, or say `line` where there is no terminal."""
        if not sys.stderr.isatty():
            say(line)
            return
        from rich import progress  # only a terminal needs it
        from rich.console import Console

        units = (progress.MofNCompleteColumn, progress.TimeElapsedColumn)
        nbytes = (progress.DownloadColumn, progress.TransferSpeedColumn)
        self._bar = progress.Progress(
            progress.BarColumn(),
            *(column() for column in (nbytes if of_bytes else units)),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def show(self, done: float, label: str, line: Callable[[], str]) -> None:
        """Draw it at `done`, or say `line` now and then."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=label)
        else:
            self._lines.tell(line)

    def note(self, text: str) -> None:
        """Say something that stays."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            say(text)

    def close(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class RunProgress:
    """A listener that shows how far a run is."""

    def __init__(self) -> None:
        self._done = self._units = 0
        self._bar = Bar()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case RunStarted(units, nbytes, workers):
                self._units = units
                line = f"{units} units, about {size(nbytes)}, {workers} workers"
                self._bar.start(units, line)
            case UnitFinished(label):
                self._done += 1
                self._bar.show(
                    self._done, label, lambda: f"{self._done} of {self._units} units, now {label}"
                )
            case UnitFailed(label, shard, error):
                self._bar.note(f"failed: {label} shard {shard}: {error}")
            case UnitHeld(label):
                self._bar.note(f"another process is building {label}: it comes last")
            case ArtifactSealed(label, alias=True):
                self._bar.note(f"{label}: equal to one that exists")
            case RunFinished(done, failed, seconds):
                self.close()
                say(f"{done} units done, {failed} failed, {seconds:.1f} s")
            case _:
                pass

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


class TransferProgress:
    """Is told of bytes by several threads; shows rate and time left."""

    def __init__(self, verb: str, nbytes: int, objects: int) -> None:
        self._total = nbytes
        self._done = 0
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._bar = Bar()
        if objects:
            self._bar.start(nbytes, f"{verb} {objects} objects, {size(nbytes)}", of_bytes=True)

    def __call__(self, nbytes: int, label: str) -> None:
        """Count bytes; fewer than none where they have to move again."""
        with self._lock:
            self._done += nbytes
            self._bar.show(self._done, label, lambda: self._line(label))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _line(self, label: str) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self._done / seconds
        left = "unknown" if rate <= 0 else f"{max(0, self._total - self._done) / rate:.0f} s"
        done = f"{size(self._done)} of {size(self._total)}"
        return f"{done}, {size(max(rate, 0))}/s, {left} left, now {label}"


class VerifyProgress:
    """Counts what `verify` has read, and says so now and then."""

    def __init__(self) -> None:
        self.artifacts = 0
        self.nbytes = 0
        self._lines = Lines()

    def __call__(self, label: str, nbytes: int) -> None:
        """Count one artifact."""
        self.artifacts += 1
        self.nbytes += nbytes
        self.tell(f"{self.artifacts} artifacts, {size(self.nbytes)} verified, now {label}")

    def tell(self, line: str) -> None:
        """Say a line unless another was said a short while ago."""
        self._lines.tell(lambda: line)
