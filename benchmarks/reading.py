"""Random single images from a sealed set, against an npy memmap, zarr-python and MosaicML MDS.

``python -m benchmarks.reading [--images N] [--reads N] [--rounds N]`` writes the same images of
224 x 224 x 3 in each form, then reads single images in one random order, a copy of each, in turn.
The files are in the page cache: what is compared is the software. MDS is left out, and said to be,
where `mosaicml-streaming` is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pipeline
from benchmarks.generated import GeneratedDataset

Reader = Callable[[int], NDArray[np.uint8]]
SLOW = {"zarr-python": 200, "MDS": 20}
"""How many times fewer images are read where one takes that much longer."""


def main() -> None:
    """Write, read in turn, print images per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--reads", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        readers = _readers(Path(folder), given.images)
        order = np.random.default_rng(0).integers(0, given.images, given.reads).tolist()
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(given.rounds):
            for name, read in readers.items():
                rates[name].append(_rate(read, order[: given.reads // SLOW.get(name, 1)]))
    ours = statistics.median(rates["sealed store"])
    print(f"{given.images} images, median of {given.rounds} rounds")
    for name, taken in rates.items():
        rate = statistics.median(taken)
        print(f"{name:<16}{rate:>10.0f} images/s   ours / this {ours / rate:>8.2f}")
    if "MDS" not in rates:
        print("MDS not measured: mosaicml-streaming is not installed")


def _readers(folder: Path, count: int) -> dict[str, Reader]:
    dataset = GeneratedDataset(folder, count)
    dataset.build("datasets", 2)
    sealed = pipeline.open_store(dataset.store)["bench/test"]
    mapped = _npy(folder / "images.npy", dataset.images)
    chunked = _zarr(next(dataset.store.glob("datasets/bench/test/*/images")))
    readers: dict[str, Reader] = {
        "sealed store": sealed.images.__getitem__,
        "npy memmap": lambda row: np.array(mapped[row]),
        "zarr-python": lambda row: chunked[row],
    }
    for row in (0, count - 1):
        images = [read(row) for read in readers.values()]
        if not all(np.array_equal(image, images[0]) for image in images):
            raise SystemExit("the forms do not hold the same images")
    if importlib.util.find_spec("streaming") is not None:
        readers["MDS"] = _mds(folder / "mds", dataset.images)
    return readers


def _npy(path: Path, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    np.save(path, images)
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return mapped


def _zarr(path: Path) -> Any:  # noqa: ANN401
    import zarr

    return zarr.open_array(path, mode="r")


def _mds(folder: Path, images: NDArray[np.uint8]) -> Reader:
    import streaming

    shape = ",".join(map(str, images.shape[1:]))
    with streaming.MDSWriter(out=str(folder), columns={"image": f"ndarray:uint8:{shape}"}) as file:
        for image in images:
            file.write({"image": image})
    dataset = streaming.LocalDataset(local=str(folder))
    return lambda row: dataset[row]["image"]


def _rate(read: Reader, order: list[int]) -> float:
    start = time.perf_counter()
    for row in order:
        read(row)
    return len(order) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
