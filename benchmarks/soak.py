"""Kills builds at random moments and at every step, and checks what their stores say afterwards.

``python -m benchmarks.soak [--kills N] [--forked N] [--dask N] [--cuts N] [--seed S] [--quick]``
builds all 35 sets of a phantom once undisturbed, and then disturbs builds in four ways:

* N commands (``--kills``): one or two processes begin the same build and are killed (SIGKILL) after
  a random time;
* N forks of a warm process (``--forked``), half of them after a random time, half of them at a step
  of the commit protocol: before, within or after an operation on a kind of file. Steps are named,
  and those at which fewest kills fell so far come first;
* N worker processes of dask (``--dask``): a command with ``--scheduler processes`` runs, and its
  workers are killed one after the other;
* N power cuts (``--cuts``): the log of everything that a build writes is replayed up to a random
  moment, and of what was not synced by then, any part is left out.

After each kill everything sealed must verify, have the content of the undisturbed build, and
contain what was sealed before; after one to three of them the build is run to its end, and the
digests of all artifacts and of all their files must equal those of the undisturbed build. Without
options this is the long form: 900 forks, 100 workers of dask and 1,000 power cuts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.power import Log, LoggingDisk, after_power_cut, write_tree
from benchmarks.steps import SteppedDisk
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
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--forked", type=int, default=900)
    parser.add_argument("--dask", type=int, default=100)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="1, 12, 1 and 8 of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", default="phantom-blood")
    given = parser.parse_args()
    asked = (given.kills, given.forked, given.dask, given.cuts)
    kinds = (Commands, Forks, DaskWorkers, PowerCuts)
    kills, faults = 0, []
    for kind, count in zip(kinds, (1, 12, 1, 8) if given.quick else asked, strict=True):
        if not count:
            continue
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            soak = kind(Path(folder), given.dataset, random.Random(given.seed))
            while soak.kills < count:
                soak.turn()
            soak.tell()
            kills += soak.kills
            faults += soak.faults
    print(f"{kills} kills and cuts, {len(faults)} faults in all")
    sys.exit(bool(faults))


class Soak:
    """Counts what happened; how builds are begun and killed is said by each kind."""

    what = ""

    def __init__(self, folder: Path, dataset: str, moments: random.Random) -> None:
        self.kills = self.late = self.turns = self.partial = 0
        self._sealed: set[str] = set()
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
        self._sealed = set()
        for _ in range(self._moments.randint(1, 3)):
            self._kill(root)
            self._check(root)
        self._complete(root)

    def _complete(self, root: Path) -> None:
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
        found = _digests(root)
        if found != {label: self._reference.get(label) for label in found}:
            self.faults.append(f"{root.name}: sealed with other content, and not noticed")
        if lost := self._sealed - found.keys():
            self.faults.append(f"{root.name}: sealed before a kill and not after: {sorted(lost)}")
        self._sealed = set(found)


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
        counting = KillingDisk()
        self._build(self._folder / "counted", counting)
        self._steps = counting.seen
        self.fallen: Counter[str] = Counter()

    def _build(self, root: Path, disk: Disk) -> None:
        from pipeline.runner import Manner, run

        store = Store(root, disk)
        run(store, make_plan(store, self._nodes), Manner(2)).raise_failures()

    def _finish(self, root: Path) -> None:
        if os.waitstatus_to_exitcode(os.waitpid(self._fork(root, Disk()), 0)[1]):
            self.faults.append(f"{root.name}: the last build failed")

    def _kill(self, root: Path) -> None:
        note = self._folder / "note"
        note.unlink(missing_ok=True)
        at_a_step = self._moments.random() < 0.5
        if at_a_step:
            step = min(self._steps, key=lambda name: (self.fallen[name], self._moments.random()))
            time_of_it = self._moments.randrange(self._steps[step])
            child = self._fork(root, KillingDisk((step, time_of_it), note))
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
        missed = self._steps.keys() - self.fallen.keys()
        if missed and self.kills > 10 * len(self._steps):
            self.faults.append(f"no kill fell {sorted(missed)}")
        super().tell()
        print(f"kills at {len(self._steps) - len(missed)} of {len(self._steps)} named steps:")
        print(*(f"  {count:4} {where}" for where, count in sorted(self.fallen.items())), sep="\n")


class PowerCuts(Forks):
    """Replays the log of a build up to a moment, without some of what was not synced by then."""

    what = "power cuts"

    def _prepare(self) -> None:
        super()._prepare()
        logged = self._folder / "logged"
        self._log = Log()
        self._build(logged, LoggingDisk(logged, self._log))

    def turn(self) -> None:
        """Cut the power once, at most to the end of the build, and complete it."""
        root = self._folder / f"turn-{self.turns}"
        self.turns += 1
        self.kills += 1
        kept = self._moments.choice([0.0, 1.0, self._moments.random()])
        moment = self._moments.randint(0, len(self._log))
        tree = after_power_cut(self._log[:moment], lambda: self._moments.random() < kept)
        write_tree(tree, root)
        self._sealed = set()
        self._check(root)
        self._complete(root)

    def tell(self) -> None:
        """Print what happened."""
        print(f"the log of a build has {len(self._log)} operations")
        Soak.tell(self)


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


class KillingDisk(SteppedDisk):
    """Counts its steps by name, and kills its own process at one of them."""

    def __init__(self, fatal: tuple[str, int] | None = None, note: Path | None = None) -> None:
        self.seen: Counter[str] = Counter()
        self._fatal = fatal
        """A step, and the how manieth of its name, from 0."""
        self._note = note
        self._one = threading.Lock()

    def step(self, moment: str, operation: str, path: Path) -> None:
        """Count the step, and end the process if it is the fatal one."""
        what = path.parent.name if path.parent.name in _PARTS else path.name
        name = f"{moment} {operation} {what if what in _NAMED else ''}".strip()
        with self._one:
            step = (name, self.seen[name])
            self.seen[name] += 1
            if step == self._fatal and self._note is not None:
                self._note.write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)


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
