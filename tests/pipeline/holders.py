"""Processes that hold what others want, and traces of those on other hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.pipeline.conftest import REPOSITORY

HOLD = """
import signal, sys
from pathlib import Path
from pipeline.locks import Leases
from pipeline.store import Store
if sys.argv[2] == "write":
    writing = Store(Path(sys.argv[1])).writing()
    writing.__enter__()
else:
    assert Leases().take(Path(sys.argv[1])) is not None
print("held", flush=True)
signal.pause()
"""


def holding(path: Path, what: str = "lease") -> subprocess.Popen[str]:
    """Return a process that holds a lease, or writes to a store, until it is killed."""
    command = [sys.executable, "-c", HOLD, str(path), what]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process so that its end is not yet noticed by its parent, and then notice it."""
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def moved_elsewhere(path: Path, **fields: object) -> None:
    """Make a lease file one of another host, whose process ids mean nothing here."""
    beat, text = path.read_text().splitlines()
    content = json.loads(text) | {"host": "elsewhere", "place": "another boot"} | fields
    path.write_text(f"{beat}\n{json.dumps(content)}\n")


def beat(path: Path, number: int) -> None:
    """Let the holder elsewhere show that it lives."""
    _, text = path.read_text().splitlines()
    path.write_text(f"{number:020d}\n{text}\n")
