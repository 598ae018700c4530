"""Kills the real command line at random moments and checks what its store says afterwards.

``python benchmarks/soak.py [--kills N] [--quick] [--seed S] [--dataset NAME]`` builds all sets
of a phantom once undisturbed. Then, until N processes have been killed: one to three times in
one store, one or two processes begin the same build and are killed (SIGKILL) after a random
time; after each kill everything sealed must verify; at last the build is run to its end, and the
digests of all artifacts and of all their files must equal those of the undisturbed build.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.store import STAGING, Store
from pipeline.verify import verify

HARMLESS = {"leftover_staging", "unsealed"}
REPOSITORY = Path(__file__).parents[1]
Digests = dict[str, tuple[str, dict[str, str]]]


def main() -> None:
    """Kill, complete, compare; exit 1 if anything was lost or differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="5 kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", default="phantom-blood")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), given.dataset, random.Random(given.seed))
        while soak.kills + soak.late < (5 if given.quick else given.kills):
            soak.turn()
        soak.tell()
    sys.exit(bool(soak.faults))


class Soak:
    """Counts what happened."""

    def __init__(self, folder: Path, dataset: str, moments: random.Random) -> None:
        self.kills = self.late = self.turns = self.partial = 0
        self.faults: list[str] = []
        self._folder = folder
        self._dataset = dataset
        self._moments = moments
        self._started = time.monotonic()
        reference = folder / "reference"
        self._finish(self._begin(reference))
        self._seconds = time.monotonic() - self._started
        self._reference = _digests(reference)

    def turn(self) -> None:
        """Kill builds of one store one to three times, then complete it and compare."""
        root = self._folder / f"turn-{self.turns}"
        self.turns += 1
        for _ in range(self._moments.randint(1, 3)):
            self._kill([self._begin(root) for _ in range(self._moments.randint(1, 2))])
            self._check(root)
        self._finish(self._begin(root))
        if verify(Store(root)) or list((root / STAGING).iterdir()):
            self.faults.append(f"{root.name}: problems after the last run")
        if _digests(root) != self._reference:
            self.faults.append(f"{root.name}: other digests than the undisturbed build")

    def tell(self) -> None:
        """Print what happened."""
        seconds = time.monotonic() - self._started
        print(f"{self._dataset}: {len(self._reference)} artifacts, {self._seconds:.1f} s a build")
        print(f"{self.kills} processes killed, {self.late} ended before their kill")
        print(
            f"{self.partial} times a store was partial after a kill; {self.turns} stores completed"
        )
        print(f"{len(self.faults)} faults in {seconds:.0f} s")
        print(*self.faults, sep="\n", end="\n" if self.faults else "")

    def _begin(self, root: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", "build", "corruptions", "--workers", "2"]
        options = ["--datasets", self._dataset, "--store", str(root), "--log", f"{root}.jsonl"]
        return subprocess.Popen(
            [*command, *options], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
        )

    def _kill(self, processes: list[subprocess.Popen[str]]) -> None:
        deadline = time.monotonic() + self._moments.uniform(0.1, 1.1) * self._seconds
        for process in processes:
            try:
                process.communicate(timeout=max(0, deadline - time.monotonic()))
                self.late += 1
                if process.returncode != 0:
                    self.faults.append(f"exit {process.returncode} beside a killed process")
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                self.kills += 1

    def _finish(self, process: subprocess.Popen[str]) -> None:
        _, told = process.communicate()
        if process.returncode != 0:
            self.faults.append(f"exit {process.returncode}: {told}")

    def _check(self, root: Path) -> None:
        kinds = {problem.kind for problem in verify(Store(root))} if root.exists() else set()
        self.partial += bool(kinds)
        if kinds - HARMLESS:
            self.faults.append(f"{root.name}: {sorted(kinds - HARMLESS)} after a kill")


def _digests(root: Path) -> Digests:
    return {
        manifest.label: (
            manifest.content_digest,
            {name: entry["blake3"] for name, entry in manifest.files.items()},
        )
        for manifest in Store(root).manifests()
    }


if __name__ == "__main__":
    main()
