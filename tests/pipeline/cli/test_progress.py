"""What is said of progress, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
from contextlib import closing
from typing import Any

import pytest

from pipeline.cli import progress
from pipeline.cli.progress import RunProgress, TransferProgress
from pipeline.events import RunStarted, UnitFinished


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A line tells what is done, the rate and the time left, and what failed is taken back."""
    clock = iter([0.0, 0.0, 4.0, 20.0, 20.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with closing(TransferProgress("pulling", 4_000_000, 3)) as display:
        display(500_000, "sets/early")
        display(1_500_000, "sets/a")
        display(-1_000_000, "sets/b")
    said = capsys.readouterr().err
    assert "pulling 3 objects, 4.0 MB" in said
    assert "early" not in said
    assert "2.0 MB of 4.0 MB, 100.0 kB/s, 20 s left, now sets/a" in said


class Terminal(io.StringIO):
    """What a program on a terminal writes to."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what is done and what was built last, also in letters that mean markup to rich."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with closing(RunProgress()) as shown:
        shown(RunStarted(2, 100, 1))
        shown(UnitFinished("sets/[bold]", 0, 1, 50, 0.1))
    assert "1/2" in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "sets/[bold]" in sys.stderr.getvalue()  # type: ignore[attr-defined]
