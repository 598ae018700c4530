"""Shows how a transfer goes: a bar with rate and time left on a terminal, else a line at times."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from pipeline.cli.output import say, size

LINE_SECONDS = 10.0


class TransferDisplay:
    """Is told of bytes by several threads; a context that takes its bar away at the end."""

    def __init__(self, verb: str, nbytes: int, objects: int) -> None:
        self._verb = verb
        self._total = nbytes
        self._objects = objects
        self._done = 0
        self._lock = threading.Lock()
        self._started = self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if not self._objects:
            return self
        if not sys.stderr.isatty():
            say(f"{self._verb} {self._objects} objects, {size(self._total)}")
            return self
        from rich.console import Console  # only a terminal needs it
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        text = TextColumn("{task.description}", markup=False)
        self._bar = Progress(*columns, text, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=self._total)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, nbytes: int, label: str) -> None:
        """Count bytes; fewer than none where they have to move again."""
        with self._lock:
            self._done += nbytes
            if self._bar is not None:
                self._bar.update(self._task, completed=self._done, description=label)
            elif time.monotonic() - self._said > LINE_SECONDS:
                self._said = time.monotonic()
                say(self.line(label))

    def line(self, label: str) -> str:
        """Return what is said where there is no terminal."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self._done / seconds
        left = "unknown" if rate <= 0 else f"{max(0, self._total - self._done) / rate:.0f} s"
        done = f"{size(self._done)} of {size(self._total)}"
        return f"{done}, {size(max(rate, 0))}/s, {left} left, now {label}"
