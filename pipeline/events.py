"""What happens while units run, told to listeners as values."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from pipeline.schemas import LOG


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run is about to do `units` units, `nbytes` bytes by estimate, with `workers`."""

    units: int
    nbytes: int
    workers: int


@dataclass(frozen=True, slots=True)
class UnitFinished:
    """A unit is published."""

    label: str
    shard: int
    rows: int
    nbytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class UnitFailed:
    """A unit failed, and with it all that needs it."""

    label: str
    shard: int
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class UnitHeld:
    """A unit is being built by another process; it is looked at again later."""

    label: str
    shard: int


@dataclass(frozen=True, slots=True)
class ArtifactSealed:
    """An artifact exists from now on."""

    label: str
    recipe_key: str
    content_digest: str
    alias: bool


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over."""

    done: int
    failed: int
    seconds: float


Event: TypeAlias = RunStarted | UnitFinished | UnitFailed | UnitHeld | ArtifactSealed | RunFinished
Listener: TypeAlias = Callable[[Event], None]


class EventLog:
    """A listener that appends every event to a file as one line of JSON."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __call__(self, event: Event) -> None:
        """Append `event` with its name and the seconds since the epoch."""
        when = round(time.time(), 3)
        line = {"schema": LOG, "event": type(event).__name__, "time": when, **asdict(event)}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
