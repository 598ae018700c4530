"""Several processes that build the same sets in one store: who renders what, and how long it takes.

``python -m benchmarks.together [--processes 8] [--images N] [--folder DIR] [--quick]`` makes a
labelled folder of N generated images of 224 x 224 x 3, builds its clean split, and then starts so
many ``pipeline build corruptions --workers 1`` at once on one store. It prints how many units were
rendered and how often each, how many sets were sealed, whether all digests are those of one process
that builds alone, and both wall times. It exits 1 if anything is missing, double or different.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated import GeneratedDataset
from pipeline.store import Store
from pipeline.verify import verify

SETS = 35
COUNTED = """
import os
from pipeline.cli import main
from stages.corrupt.stage import Render

render = Render.run

def counted(self, unit, inputs, writer):
    file = os.open(os.environ["RENDERED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{unit.recipe.label} {unit.shard}\\n".encode())
    os.close(file)
    render(self, unit, inputs, writer)

Render.run = counted
main()
"""
"""The command line, which adds a line to a file for every unit that it begins to render."""


def main() -> None:
    """Build alone and together, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="where to write")
    parser.add_argument("--quick", action="store_true", help="8 images")
    given = parser.parse_args()
    images = 8 if given.quick else given.images
    with tempfile.TemporaryDirectory(prefix="together-", dir=given.folder) as scratch:
        bench = Bench(Path(scratch), images)
        alone, together = bench.build(1), bench.build(given.processes)
        problems = verify(Store(bench.store))
    sets = [label for label in together.digests if label.startswith("corruptions/")]
    twice = sum(count > 1 for count in together.rendered.values())
    again = sum(count > 1 for count in together.sealed.values())
    equal = together.digests == alone.digests
    print(f"{images} images, {given.processes} processes at once on one store")
    print(f"{len(together.rendered)} units were rendered, {twice} of them more than once")
    print(f"{len(sets)} of {SETS} sets are sealed, {again} of them more than once")
    print(f"digests are those of one process: {equal}; problems found by verify: {len(problems)}")
    print(f"{alone.seconds:.1f} s alone, {together.seconds:.1f} s together")
    sys.exit(bool(twice or again or problems) or len(sets) != SETS or not equal)


@dataclass
class Built:
    """What came of a build."""

    seconds: float
    rendered: Counter[str]
    """How often each unit was begun to be rendered."""
    sealed: Counter[str]
    """How often each artifact is sealed."""
    digests: dict[str, list[str]]
    """Of content and files, by artifact."""


class Bench:
    """A dataset, and the store that its sets are built in, twice."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._dataset = GeneratedDataset(folder, count)
        self._dataset.build("datasets", 2)
        self.store = self._dataset.store

    def build(self, processes: int) -> Built:
        """Build all sets anew."""
        shutil.rmtree(self.store / "corruptions", ignore_errors=True)
        rendered = self._folder / f"rendered-{processes}"
        command = self._dataset.command("corruptions", 1)
        command[2] = COUNTED
        environment = os.environ | {"RENDERED": str(rendered)}
        started = time.perf_counter()
        running = [
            subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            for _ in range(processes)
        ]
        codes = [process.wait() for process in running]
        seconds = time.perf_counter() - started
        if any(codes):
            sys.exit(f"exit codes {codes}")
        manifests = list(Store(self.store).manifests())
        digests = {
            m.label: [m.content_digest, *(entry["blake3"] for entry in m.files.values())]
            for m in manifests
        }
        times = Counter(manifest.label for manifest in manifests)
        return Built(seconds, Counter(rendered.read_text().splitlines()), times, digests)


if __name__ == "__main__":
    main()
