"""Peak memory of a build for few and for many images.

``python -m benchmarks.memory [--images 500 5000] [--workers N] [--folder DIR]`` builds two
corruptions at five severities for each number of images in a process of its own and prints the
largest resident size that the system saw, with the ratio. Sets larger than a shard are written
shard by shard, so beyond that nothing may grow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.generated import GeneratedDataset


def main() -> None:
    """Build, ask the system, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs=2, default=[500, 5000])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where to write")
    given = parser.parse_args()
    peaks = []
    for count in given.images:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder:
            dataset = GeneratedDataset(Path(folder), count)
            dataset.build("datasets", given.workers)
            peaks.append(_peak(dataset, given.workers))
            print(f"{count:>6} images: {peaks[-1]:>8.1f} MB at most")
    print(f"ratio {peaks[1] / peaks[0]:.2f}")


def _peak(dataset: GeneratedDataset, workers: int) -> float:
    """Return the peak resident size in megabytes of a build, this process and its threads."""
    command = dataset.command("corruptions", workers, "--only", "*/bench/test/*_blur/*")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = f"the build failed with exit code {process.returncode}"
        raise SystemExit(message)
    return used.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
