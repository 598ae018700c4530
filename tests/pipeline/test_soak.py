"""The long soak's short form."""

from __future__ import annotations

import subprocess
import sys

from tests.pipeline.conftest import REPOSITORY


def test_the_short_soak_finds_no_fault() -> None:
    """A few kills of commands, forks and workers of dask, and a few power cuts, lose nothing."""
    command = [sys.executable, "-m", "benchmarks.soak", "--quick"]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 faults in all" in answer.stdout
