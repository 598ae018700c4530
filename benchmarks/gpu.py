"""Images a second of the torch kernels on a device against the native ones on all cores.

``python -m benchmarks.gpu [--device cuda] [--images N] [--side PIXELS] [--rounds N]`` renders the
same images of side x side x 3 with both backends in turn, for every kernel that torch has, and
prints medians over the rounds of the mean over severities, the ratio torch / native, and the
largest difference of any channel value in grey levels. Images start and end in main memory, so
transfers count. The first calls, which compile and fill caches, do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.backends import kernel_of
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.naming import Backend
from stages.corrupt.on_torch import BATCHED
from stages.corrupt.rendering import SUITES, render_rows, sample_stream
from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest
from stages.vocabulary import SEVERITIES

MEASURED = ("medimeta-c", "imagenet-c")
CORES = os.cpu_count() or 1
TEXTURES = 16
"""Different images; the others repeat them."""


def main() -> None:
    """Measure every corruption and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="corruptions, comma-separated")
    given = parser.parse_args()
    images = generated(given.images, given.side)
    print(f"{given.images} images {images.shape[1:]}, {CORES} cores, torch on {given.device}")
    print(f"{'corruption':<24}{'native/s':>10}{'torch/s':>10}{'ratio':>8}{'apart':>7}")
    ratios = []
    for suite, corruption in measured(given.only.split(",") if given.only else []):
        native, torch = Renderer(images, suite, corruption), Renderer(images, suite, corruption)
        seconds: dict[str, list[float]] = {"native": [], "torch": []}
        for turn in range(given.rounds + 1):
            taken = {
                "native": native.on_all_cores(),
                "torch": torch.at_once("torch", given.device),
            }
            for name, value in taken.items() if turn else ():
                seconds[name].append(value)
        rates = {
            name: len(SEVERITIES) * len(images) / statistics.median(seconds[name]) for name in taken
        }
        apart = np.abs(native.out.astype(np.int16) - torch.out).max()
        ratios.append(rates["torch"] / rates["native"])
        print(
            f"{corruption.name:<24}{rates['native']:>10.0f}{rates['torch']:>10.0f}"
            f"{ratios[-1]:>8.2f}{apart:>7}",
            flush=True,
        )
    print(f"{'geometric mean of ratios':<44}{statistics.geometric_mean(ratios):>8.2f}")


def measured(only: list[str]) -> list[tuple[SuiteManifest, CorruptionDeclaration]]:
    """Return the corruptions that torch renders, each from the first suite that has it."""
    found: dict[str, tuple[SuiteManifest, CorruptionDeclaration]] = {}
    for name in MEASURED:
        suite = SUITES[name]
        for corruption in suite.corruptions:
            if corruption.kernel in BATCHED and (not only or corruption.name in only):
                found.setdefault(corruption.name, (suite, corruption))
    return list(found.values())


def generated(count: int, side: int) -> NDArray[np.uint8]:
    """Return `count` textured images of one size."""
    textures = [generated_image((side, side, 3), str(n)) for n in range(min(count, TEXTURES))]
    return np.stack([textures[n % TEXTURES] for n in range(count)])


class Renderer:
    """Renders images under one corruption at every severity."""

    def __init__(
        self, images: NDArray[np.uint8], suite: SuiteManifest, corruption: CorruptionDeclaration
    ) -> None:
        self._images = images
        self._suite = suite
        self._corruption = corruption
        self.out: Image = np.zeros_like(images)
        """Of the severity rendered last."""

    def on_all_cores(self) -> float:
        """Return the seconds that the native kernel takes on all cores, each with a part."""
        step = -(-len(self._images) // CORES)
        parts = [slice(start, start + step) for start in range(0, len(self._images), step)]

        def work(severity: int) -> None:
            with ThreadPoolExecutor(CORES) as pool:
                list(pool.map(lambda rows: self._render(severity, rows, "native", "cpu"), parts))

        return self._seconds(work)

    def at_once(self, backend: Backend, device: str) -> float:
        """Return the seconds that another backend takes for all images."""
        return self._seconds(lambda n: self._render(n, slice(None), backend, device))

    def _render(self, severity: int, rows: slice, backend: Backend, device: str) -> None:
        samples = range(len(self._images))[rows]
        name = self._corruption.name
        streams = [sample_stream(0, "bench", sample, name, severity) for sample in samples]
        images, out = self._images[rows], self.out[rows]
        corruption, suite = self._corruption, self._suite
        kernel = kernel_of(backend, corruption, severity, device)
        render_rows(images, corruption, severity, suite, streams, out, kernel)

    def _seconds(self, work: Callable[[int], None]) -> float:
        start = time.perf_counter()
        for severity in SEVERITIES:
            work(severity)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
