"""The long soak's short form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_the_short_soak_finds_no_fault(tmp_path: Path) -> None:
    """A handful of random kills of the real command lose nothing."""
    command = [sys.executable, str(SOAK), "--quick"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 faults" in answer.stdout
