"""What is said of a transfer where there is no terminal."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.cli import transfer_display
from pipeline.cli.transfer_display import TransferDisplay


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A line tells what is done, the rate and the time left, and what failed is taken back."""
    clock = iter([0.0, 4.0, 20.0, 20.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(transfer_display.time, "monotonic", lambda: next(clock))
    with TransferDisplay("pulling", 4_000_000, 3) as display:
        display(500_000, "sets/early")
        display(1_500_000, "sets/a")
        display(-1_000_000, "sets/b")
    said = capsys.readouterr().err
    assert "pulling 3 objects, 4.0 MB" in said
    assert "early" not in said
    assert "2.0 MB of 4.0 MB, 100.0 kB/s, 20 s left, now sets/a" in said
