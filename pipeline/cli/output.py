"""What people and programs see: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.events import (
    ArtifactSealed,
    Event,
    RunFinished,
    RunStarted,
    UnitFailed,
    UnitFinished,
    UnitHeld,
)

_LINE_SECONDS = 10.0


def print_json(schema: str, content: dict[str, Any]) -> None:
    """Print one JSON document with its schema to stdout."""
    document = {"schema": f"medshards/{schema}/1", **content}
    # Piece by piece: the text of a long document takes several times the memory of what it says.
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Print a line of information to stderr."""
    sys.stderr.write(text + "\n")


def show(text: str) -> None:
    """Print a result to stdout."""
    sys.stdout.write(text + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in aligned columns to stdout, no cell ever cut short."""
    lines = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        show("  ".join(cells).rstrip())


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Tell in one line that a file outside the store, named by an option, cannot be written."""
    try:
        yield
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise PipelineError(message) from error


def size(nbytes: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if nbytes < 1000 or unit == "TB":
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    raise AssertionError


class ProgressDisplay:
    """A listener that shows progress: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._done = self._units = 0
        self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case RunStarted(units, nbytes, workers):
                self._units = units
                self._start(units, nbytes, workers)
            case UnitFinished(label):
                self._advance(label)
            case UnitFailed(label, shard, error):
                self._note(f"failed: {label} shard {shard}: {error}")
            case UnitHeld(label):
                self._note(f"another process is building {label}: it comes last")
            case ArtifactSealed(label, alias=True):
                self._note(f"{label}: equal to one that exists")
            case RunFinished(done, failed, seconds):
                self.close()
                say(f"{done} units done, {failed} failed, {seconds:.1f} s")
            case _:
                pass

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self, units: int, nbytes: int, workers: int) -> None:
        if not sys.stderr.isatty():
            say(f"{units} units, about {size(nbytes)}, {workers} workers")
            return
        from rich.console import Console  # only a terminal needs it
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        text = TextColumn("{task.description}")
        self._bar = Progress(*columns, text, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=units)
        self._bar.start()

    def _advance(self, label: str) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=label)
        elif time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            say(f"{self._done} of {self._units} units, now {label}")

    def _note(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            say(text)


class VerifyProgress:
    """Counts what `verify` has read, and says so now and then."""

    def __init__(self) -> None:
        self.artifacts = 0
        self.nbytes = 0
        self._said = time.monotonic()

    def __call__(self, label: str, nbytes: int) -> None:
        """Count one artifact."""
        self.artifacts += 1
        self.nbytes += nbytes
        self.tell(f"{self.artifacts} artifacts, {size(self.nbytes)} verified, now {label}")

    def tell(self, line: str) -> None:
        """Say a line unless another was said a short while ago."""
        if time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            say(line)
