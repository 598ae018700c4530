"""The benchmark of embedding runs, in its small form, and says what it measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("ratio", r"64 images in batches of 8, 3 pairs: .* ratio \d\.\d{3} .* at most (\S+) apart"),
        ("nothing", r"nothing to do over 180 artifacts, .*: (\d+\.\d+) s .*, torch not imported"),
        ("memory", r"memory ratio (\d+\.\d+) "),
    ],
)
def test_quick_run(part: str, said: str) -> None:
    """Each part runs to its end; embeddings are the bare loop's, memory does not grow.

    Seconds are printed but not asserted: other tests run at the same time.
    """
    command = [sys.executable, "-m", "benchmarks.embed", "--quick", "--only", part]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    found = re.search(said, done.stdout)
    assert found, (done.stdout, done.stderr)
    missed = [line for line in done.stdout.splitlines() if line.startswith("MISSED")]
    assert done.returncode == bool(missed)
    if part == "ratio":
        assert float(found[1]) <= 1e-4
    if part == "memory":
        assert not missed
