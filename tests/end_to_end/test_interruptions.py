"""Stopping a build: by a signal at a shard boundary, or killed at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def build(source: Any) -> tuple[object, ...]:
    """Return the command that builds every split of the tiny dataset and its sets."""
    at = ("--store", source.folder / "store", "--manifests", source.manifests)
    options = ("--splits", "test", "--from", source.data, "--workers", 2)
    return ("build", "all", "--datasets", "tiny", *options, *at)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_stops_at_a_shard_boundary(
    pipeline: Any, tiny: Any, whole: Callable[[Path], None], number: signal.Signals
) -> None:
    """Exit 130 says that what is finished is kept; nothing half-written; it goes on from there."""
    process = pipeline.start(*build(tiny))
    assert "units" in process.stderr.readline(), "the run has begun"
    process.send_signal(number)
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("error: interrupted: what is finished is kept")
    whole(tiny.folder / "store")
    pipeline(*build(tiny))
    whole(tiny.folder / "store")


SIGNAL_AT_THE_START_OF_A_THREAD = """
import signal, sys, threading
from pipeline.cli import main
begin = threading._start_new_thread
def begin_and_interrupt(*arguments):
    thread = begin(*arguments)
    if sys._getframe(1).f_locals["self"].name.startswith("unit"):
        signal.raise_signal(signal.SIGINT)
    return thread
threading._start_new_thread = begin_and_interrupt
sys.argv = ["pipeline", *sys.argv[1:]]
main()
"""


def test_a_signal_inside_a_library_stops_as_well(
    pipeline: Any, tiny: Any, whole: Callable[[Path], None]
) -> None:
    """Nothing of the library's own cleaning up after exceptions meets the interruption."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_AT_THE_START_OF_A_THREAD, *map(str, build(tiny))],
        cwd=pipeline.folder,
        env=pipeline.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done
    assert "Traceback" not in done.stderr
    whole(tiny.folder / "store")


def test_a_killed_build_is_continued(
    pipeline: Any,
    tiny: Any,
    tiny_study: Path,
    whole: Callable[[Path], None],
    digests: Callable[[Path], dict[str, str]],
) -> None:
    """Killed at several random moments and run again, the store is as if nothing had happened."""
    store = tiny.folder / "store"
    for _ in range(3):
        process = pipeline.start(*build(tiny))
        process.stderr.readline()
        try:
            process.wait(random.uniform(0, 0.6))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    pipeline(*build(tiny))
    whole(store)
    alone = digests(tiny_study / "store")
    found = digests(store)
    assert found == {name: alone[name] for name in found}
    assert len(found) == 1 + 1 + 35
