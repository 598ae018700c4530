"""The benchmarks of large plans and of many workers, in their small forms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def quick(name: str) -> str:
    """Return what a benchmark prints; seconds are not asserted: other tests run meanwhile."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_plans_grow_in_proportion_at_most() -> None:
    """Of a lab, files, bytes, inodes and the longest path; ten times the images need no memory."""
    said = quick("plan")
    files = [int(n) for n in re.findall(r"(\d+) files, [\d.]+ TB, \d+ inodes", said)]
    assert len(files) == 3
    assert files[2] <= 10 * files[1]
    assert len(re.findall(r"longest path \d{3} bytes: /", said)) == 3
    memory = re.search(r"ten times the images: time x [\d.]+, memory x ([\d.]+)", said)
    assert memory is not None
    assert float(memory[1]) < 1.1
    each = [float(kb) for kb in re.findall(r"plan, .*memory \+ (-?[\d.]+) kB", said)]
    assert len(each) == 3
    assert max(each) < 8


def test_workers_are_compared_with_one() -> None:
    """The ratio of wall times of one and of two worker processes is printed."""
    assert re.search(r"command  2 workers .* ratio +\d", quick("workers"))
