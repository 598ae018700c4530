"""How long `pipeline plan` and `status` take over many artifacts, and how much memory.

``python -m benchmarks.plan [--artifacts N] [--images N] [--quick]`` declares so many small datasets
that their sets are N artifacts (10,000), and measures whole commands: `plan` on an empty store, and
`plan` and `status` on stores in which half of the artifacts, and then all, are sealed. (Their
manifests are of the right size and hold no content: neither command reads any.) It does the same
for half of the artifacts and for hardly any, and prints how much each grows with twice
the artifacts, beyond what the command takes for hardly any: at most 2 is linear.

Last comes a lab: five datasets of N images (1,000,000) each, of which all 175 sets are planned and
none is rendered; it prints files, bytes, inodes and the longest path that `plan` tells of them, and
how time and memory grow from a tenth of the images: at most 10 is linear.

It exits 1 if a plan of 10,000 artifacts takes more than 2 s, or if anything grows more than in
proportion. With --quick only that it runs is of interest, and seconds are not judged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.artifact import MANIFEST, SCHEMA
from pipeline.cli.graphs import graph_of
from pipeline.documents import seal_document
from pipeline.shards import ItemSpec, shard_bytes
from pipeline.store import SCHEMA as STORE_SCHEMA
from pipeline.store import STORE_FILE
from pipeline.unit import Node

SETS = 35
PLAN_SECONDS = 2.0
"""Of a plan over all artifacts, at most."""
NOISE = 1.25
"""By how much a ratio of two times may be larger than it would be on a machine at rest."""
COMMAND = """
import atexit, resource, sys
from pipeline.cli import main

def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    try:  # what the system counts for a process began with its parent
        with open("/proc/self/status") as file:
            peak = int(file.read().partition("VmHWM:")[2].split()[0]) / 1024
    except OSError:
        pass
    print(used.ru_utime + used.ru_stime, peak, file=sys.stderr)

atexit.register(tell)
main()
"""
"""The command line, which in the end tells its processor time and largest resident size."""
_IMAGES = ItemSpec("uint8", (224, 224, 3))
DECLARATION = """
schema = 1
id = "{name}"
title = "Lab"
collection = "phantom"
modality = "synthetic blood cell microscopy"
task = "multi-class"
classes = ["neutrophil", "eosinophil", "basophil", "lymphocyte"]
channels = 3
size = 224
synthetic = true
citation = "none"
licence = {{spdx = "CC0-1.0", redistribution = "pixels", share_alike = false, source = "bench"}}
reader = {{form = "phantom", modality = "blood"}}
splits = {{test = {rows}}}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="300 artifacts, 20,000 images")
    given = parser.parse_args()
    artifacts, images = (300, 20_000) if given.quick else (given.artifacts, given.images)
    turns = 1 if given.quick else 5
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        missed = many_artifacts(Path(folder), artifacts, turns)
        missed += one_lab(Path(folder), images, turns)
    print(*(f"MISSED: {what}" for what in missed), sep="\n", end="\n" if missed else "")
    sys.exit(bool(missed) and not given.quick)


def many_artifacts(folder: Path, artifacts: int, turns: int) -> list[str]:
    """Measure commands for few and many artifacts; return what missed its target."""
    counts = (SETS + 1, artifacts // 2, artifacts)
    found = [_on_many(folder / str(count), count, turns) for count in counts]
    missed = []
    print("growth with twice the artifacts, of what is beyond a start of the program")
    for what in found[-1]:
        none, few, many = (turn[what] for turn in found)
        ratio = many.beyond(none) / few.beyond(none)
        each = (many.megabytes - few.megabytes) * 1e3 / (artifacts / 2)
        print(f"  {what:<22} time x {ratio:4.2f}, memory + {each:.1f} kB for each artifact")
        if what.startswith("plan") and many.seconds > PLAN_SECONDS:
            missed.append(f"{what}: {many.seconds:.2f} s, target {PLAN_SECONDS} s")
        if ratio > 2 * NOISE:
            missed.append(f"{what}: grows by {ratio:.1f} where 2 is linear")
    return missed


def _on_many(folder: Path, count: int, turns: int) -> dict[str, Measured]:
    lab = Lab(folder, -(-count // (SETS + 1)), 1000, turns)
    print(f"{lab.artifacts} artifacts")
    found = {"plan, none sealed": lab.run("plan", *lab.corruptions)}
    for share in (0.5, 1.0):
        lab.seal(share)
        found[f"plan, {share:.0%} sealed"] = lab.run("plan", *lab.corruptions)
    found["status, 100% sealed"] = lab.run("status", *lab.options)
    for what, measured in found.items():
        tell(what, measured)
    return found


def one_lab(folder: Path, images: int, turns: int) -> list[str]:
    """Measure plans of 175 large sets; return what missed its target."""
    found = []
    for count in (images // 100, images // 10, images):
        lab = Lab(folder / f"lab-{count}", 5, count, turns)
        measured = lab.run("plan", *lab.corruptions)
        found.append(measured)
        plan = measured.printed
        longest = plan["longest_path"]
        print(f"5 x {count} images, {5 * SETS} sets")
        tell("plan", measured)
        print(f"  {plan['files']} files, {plan['bytes'] / 1e12:.2f} TB, {plan['inodes']} inodes")
        print(f"  longest path {longest['bytes']} bytes: {longest['path']}")
    none, few, many = found
    ratio = many.beyond(none) / few.beyond(none)
    memory = many.megabytes / few.megabytes
    print(f"growth with ten times the images: time x {ratio:.2f}, memory x {memory:.2f}")
    return [f"a plan grows by {ratio:.1f} where 10 is linear"] if ratio > 10 * NOISE else []


def tell(what: str, measured: Measured) -> None:
    """Print one measurement."""
    took = f"{measured.seconds:6.2f} s ({measured.processor:5.2f} s of one core)"
    print(f"  {what:<22}{took} {measured.megabytes:8.1f} MB")


class Measured(NamedTuple):
    """What a command took, and what it printed."""

    seconds: float
    processor: float
    """Seconds of processor time: what the wall time would be on a machine at rest."""
    megabytes: float
    """Largest resident size."""
    printed: Any

    def beyond(self, least: Measured) -> float:
        """Return the processor time beyond that of a command with hardly anything to do, or 0.05 s.

        Less is not told apart from how much the start of the program varies.
        """
        return max(0.05, self.processor - least.processor)


class Lab:
    """Datasets that are declared, and a store."""

    def __init__(self, folder: Path, datasets: int, rows: int, turns: int) -> None:
        names = [f"lab-{number:04}" for number in range(datasets)]
        manifests = folder / "manifests" / "datasets"
        manifests.mkdir(parents=True)
        for name in names:
            declaration = DECLARATION.format(name=name, rows=rows)
            (manifests / f"{name}.toml").write_text(declaration)
        self._store = folder / "store"
        self._turns = turns
        self.options = ["--store", str(self._store), "--manifests", str(folder / "manifests")]
        self.corruptions = ["corruptions", "--datasets", ",".join(names), *self.options]
        self.artifacts = datasets * (SETS + 1)

    def run(self, command: str, *arguments: str) -> Measured:
        """Run a command to its end and return the least that it took in some turns."""
        turns = [self._run(command, *arguments) for _ in range(self._turns)]
        seconds, processor, megabytes = (min(turn[i] for turn in turns) for i in range(3))
        return Measured(seconds, processor, megabytes, turns[0].printed)

    def _run(self, command: str, *arguments: str) -> Measured:
        program = [sys.executable, "-c", COMMAND, command, *arguments, "--json"]
        started = time.perf_counter()
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
        processor, peak = done.stderr.splitlines()[-1].split()
        return Measured(seconds, float(processor), float(peak), json.loads(done.stdout))

    def seal(self, share: float) -> None:
        """Let a share of the artifacts have manifests."""
        _, nodes = graph_of(["build", *self.corruptions])
        ordered = sorted(nodes.values(), key=lambda node: node.recipe.stage, reverse=True)
        self._store.mkdir(exist_ok=True)
        (self._store / STORE_FILE).write_bytes(seal_document({"schema": STORE_SCHEMA}))
        clean = sum(node.recipe.stage == "datasets" for node in ordered)
        for node in ordered[: clean + round(share * (len(ordered) - clean))]:
            folder = self._store / node.recipe.stage / node.recipe.name / node.recipe.key
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MANIFEST).write_bytes(seal_document(_manifest(node)))


def _manifest(node: Node) -> dict[str, Any]:
    digest = node.recipe.key
    shards: Sequence[dict[str, Any]] = [
        {
            "rows": unit.stop - unit.start,
            "files": {
                f"images/c.{unit.shard}.0.0.0": {
                    "bytes": shard_bytes(_IMAGES, unit.stop - unit.start, node.slots),
                    "blake3": digest,
                },
                f"index/{unit.shard:05}.parquet": {"bytes": 50_000, "blake3": digest},
            },
        }
        for unit in node.units
    ]
    recipe = node.recipe
    return {
        "schema": SCHEMA,
        "stage": recipe.stage,
        "name": recipe.name,
        "version": recipe.version,
        "parameters": dict(recipe.parameters),
        "inputs": {
            role: {
                "stage": source.stage,
                "name": source.name,
                "recipe_key": source.key,
                "content_digest": digest,
            }
            for role, source in recipe.inputs.items()
        },
        "recipe_key": digest,
        "content_key": digest,
        "content_digest": digest,
        "rows": node.rows,
        "arrays": {"images": {"dtype": "uint8", "shape": [224, 224, 3]}},
        "files": {"images/zarr.json": {"bytes": 1000, "blake3": digest}},
        "shards": shards,
        "attributes": dict(node.attributes),
        "provenance": {"seconds": 1.0, "host": "bench", "packages": {"numpy": "2"}},
    }


if __name__ == "__main__":
    main()
