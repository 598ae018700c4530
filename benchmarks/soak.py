"""Kills builds at random moments and at every step, and checks what their stores say afterwards.

``python benchmarks/soak.py [--kills N] [--forked N] [--dask N] [--quick] [--seed S]
[--dataset NAME]`` builds all 35 sets of a phantom once undisturbed, and then kills in three ways:

* N commands (``--kills``, 200): one or two processes begin the same build and are killed (SIGKILL)
  after a random time;
* N forks of a warm process (``--forked``, 0), half of them after a random time, half of them at a
  step of the commit protocol, drawn from all steps of a build: before, within or after an operation
  on files;
* N worker processes of dask (``--dask``, 0): a command with ``--scheduler processes`` runs, and its
  workers are killed one after the other.

After one to three kills in one store everything sealed must verify; then the build is run to its
end, and the digests of all artifacts and of all their files must equal those of the undisturbed
build. ``--forked 900 --dask 100 --kills 0`` is the long form.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.disk import Disk
from pipeline.plan import make_plan
from pipeline.store import STAGING, Store
from pipeline.unit import Node
from pipeline.verify import verify

HARMLESS = {"leftover_staging", "unsealed"}
REPOSITORY = Path(__file__).parents[1]
Digests = dict[str, tuple[str, dict[str, str]]]
TINY = """
schema = 1
id = "soak"
title = "Soak"
collection = "phantom"
modality = "synthetic blood cell microscopy"
task = "multi-class"
classes = ["neutrophil", "eosinophil", "basophil", "lymphocyte"]
channels = 3
size = 28
synthetic = true
citation = "none"
licence = {spdx = "CC0-1.0", redistribution = "pixels", share_alike = false, source = "soak"}
reader = {form = "phantom", modality = "blood"}
splits = {test = 12}
"""


def main() -> None:
    """Kill, complete, compare; exit 1 if anything was lost or differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--forked", type=int, default=0)
    parser.add_argument("--dask", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="3 kills, 20 forked, 2 through dask")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", default="phantom-blood")
    given = parser.parse_args()
    kills, forked, dask = (3, 20, 2) if given.quick else (given.kills, given.forked, given.dask)
    faults = []
    for kind, count in ((Commands, kills), (Forks, forked), (DaskWorkers, dask)):
        if not count:
            continue
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            soak = kind(Path(folder), given.dataset, random.Random(given.seed))
            while soak.kills < count:
                soak.turn()
            soak.tell()
            faults += soak.faults
    print(f"{len(faults)} faults in all")
    sys.exit(bool(faults))


class Soak:
    """Counts what happened; how builds are begun and killed is said by each kind."""

    what = ""

    def __init__(self, folder: Path, dataset: str, moments: random.Random) -> None:
        self.kills = self.late = self.turns = self.partial = 0
        self.faults: list[str] = []
        self._folder = folder
        self._dataset = dataset
        self._moments = moments
        self._prepare()
        self._started = time.monotonic()
        reference = folder / "reference"
        self._finish(reference)
        self._seconds = time.monotonic() - self._started
        self._reference = _digests(reference)

    def _prepare(self) -> None:
        """Make what all builds need."""

    def _kill(self, root: Path) -> None:
        """Begin builds of a store and kill them."""
        raise NotImplementedError

    def _finish(self, root: Path) -> None:
        """Build a store to its end."""
        process = self._begin(root)
        _, told = process.communicate()
        if process.returncode != 0:
            self.faults.append(f"exit {process.returncode}: {told}")

    def turn(self) -> None:
        """Kill builds of one store one to three times, then complete it and compare."""
        root = self._folder / f"turn-{self.turns}"
        self.turns += 1
        for _ in range(self._moments.randint(1, 3)):
            self._kill(root)
            self._check(root)
        self._finish(root)
        if verify(Store(root)) or list((root / STAGING).iterdir()):
            self.faults.append(f"{root.name}: problems after the last run")
        if _digests(root) != self._reference:
            self.faults.append(f"{root.name}: other digests than the undisturbed build")
        _remove(root)

    def tell(self) -> None:
        """Print what happened."""
        seconds = time.monotonic() - self._started
        print(f"{self.what}: {len(self._reference)} artifacts, {self._seconds:.1f} s a build")
        print(f"{self.kills} killed, {self.late} builds ended before their kill")
        print(f"{self.partial} times a store was partial after; {self.turns} stores completed")
        print(f"{len(self.faults)} faults in {seconds:.0f} s")
        print(*self.faults, sep="\n", end="\n" if self.faults else "", flush=True)

    def _begin(self, root: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", "build", "corruptions", "--workers", "2"]
        of = ["--datasets", self._dataset, "--store", str(root), "--log", f"{root}.jsonl"]
        return subprocess.Popen(
            [*command, *of, *options], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
        )

    def _check(self, root: Path) -> None:
        kinds = {problem.kind for problem in verify(Store(root))} if root.exists() else set()
        self.partial += bool(kinds)
        if kinds - HARMLESS:
            self.faults.append(f"{root.name}: {sorted(kinds - HARMLESS)} after a kill")


class Commands(Soak):
    """Kills whole commands."""

    what = "commands"

    def _kill(self, root: Path) -> None:
        processes = [self._begin(root) for _ in range(self._moments.randint(1, 2))]
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


class Forks(Soak):
    """Kills forks of this process, in which everything is imported and compiled already."""

    what = "forks of a warm process"

    def _prepare(self) -> None:
        from pipeline.cli.graphs import graph_of

        manifests = self._folder / "manifests" / "datasets"
        manifests.mkdir(parents=True)
        (manifests / "soak.toml").write_text(TINY)
        names = ["--datasets", "soak", "--manifests", str(manifests.parent)]
        _, nodes = graph_of(["build", "corruptions", *names, "--store", str(self._folder / "none")])
        self._nodes: list[Node] = list(nodes.values())
        os.fsync = lambda _: None  # what a killed process has written stays, synced or not
        self._build(self._folder / "warm", Disk())
        counting = KillingDisk(-1, self._folder / "none")
        self._build(self._folder / "counted", counting)
        self._steps = counting.step
        self.fallen: Counter[str] = Counter()

    def _build(self, root: Path, disk: Disk) -> None:
        from pipeline.runner import run

        store = Store(root, disk)
        run(store, make_plan(store, self._nodes), workers=2).raise_failures()

    def _finish(self, root: Path) -> None:
        if os.waitstatus_to_exitcode(os.waitpid(self._fork(root, Disk()), 0)[1]):
            self.faults.append(f"{root.name}: the last build failed")

    def _kill(self, root: Path) -> None:
        note = self._folder / "note"
        note.unlink(missing_ok=True)
        at_a_step = self._moments.random() < 0.5
        if at_a_step:
            child = self._fork(root, KillingDisk(self._moments.randrange(self._steps), note))
        else:
            child = self._fork(root, Disk())
            time.sleep(self._moments.uniform(0, 1.0) * self._seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGKILL:
            self.kills += 1
            self.fallen[note.read_text() if at_a_step else "at a random time"] += 1
        else:
            self.late += 1
            if code:
                self.faults.append(f"{root.name}: exit {code} of a build that was not killed")

    def _fork(self, root: Path, disk: Disk) -> int:
        """Build in a child process; return its id."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self._build(root, disk)
                status = 0
            finally:
                os._exit(status)
        return child

    def tell(self) -> None:
        """Print what happened, and where kills fell."""
        super().tell()
        print(*(f"  {count:4} {where}" for where, count in sorted(self.fallen.items())), sep="\n")


class DaskWorkers(Soak):
    """Kills the worker processes of a command that builds with dask."""

    what = "workers of dask"

    def _kill(self, root: Path) -> None:
        process = self._begin(root, "--scheduler", "processes")
        killed = 0
        time.sleep(self._moments.uniform(0.5, 1.0) * self._seconds)
        while process.poll() is None:
            workers = list(_workers_of(process.pid))
            if workers and killed < 3:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._moments.choice(workers), signal.SIGKILL)
                    killed += 1
            time.sleep(self._moments.uniform(0.1, 0.8))
        _, told = process.communicate()
        self.kills += killed
        self.late += not killed
        if process.returncode not in {0, 1, 3}:
            self.faults.append(f"exit {process.returncode} beside killed workers: {told}")


_PARTS = {"images", "index", "records"}
_NAMED = _PARTS | {"manifest.json", "record.part", "manifest.part", "content.part", "metadata.part"}
"""What a kill at a step is said to have fallen on."""


class KillingDisk(Disk):
    """Kills its own process before, within or after one of its operations."""

    def __init__(self, fatal: int, note: Path) -> None:
        self.step = 0
        self._fatal = fatal
        self._note = note
        self._next = itertools.count()

    def _pass(self, moment: str, operation: str, path: Path) -> None:
        self.step = next(self._next)  # threads draw different numbers
        if self.step == self._fatal:
            what = path.parent.name if path.parent.name in _PARTS else path.name
            self._note.write_text(f"{moment} {operation} {what if what in _NAMED else ''}".strip())
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def _around(self, operation: str, path: Path) -> Iterator[None]:
        self._pass("before", operation, path)
        yield
        self._pass("after", operation, path)

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        with self._around("make_folder", path):
            super().make_folder(path)

    def write(self, path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
        """Write a file in two pieces."""

        def halves() -> Iterator[bytes]:
            data = b"".join(pieces)
            yield data[: len(data) // 2]
            self._pass("within", "write", path)
            yield data[len(data) // 2 :]

        with self._around("write", path):
            return super().write(path, halves())

    def link(self, staged: Path, final: Path) -> None:
        """Publish a file."""
        with self._around("link", final):
            super().link(staged, final)

    def replace(self, staged: Path, path: Path, data: bytes) -> None:
        """Replace a small file."""
        with self._around("replace", path):
            super().replace(staged, path, data)

    def sync_folder(self, path: Path) -> None:
        """Sync a folder."""
        self._pass("before", "sync_folder", path)
        super().sync_folder(path)


def _workers_of(pid: int) -> Iterator[int]:
    """Yield the processes below one that dask started as workers."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _text(task).split()):
            if "spawn_main" in _text(Path(f"/proc/{child}/cmdline")):
                yield child


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def _remove(root: Path) -> None:
    import shutil

    shutil.rmtree(root)


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
