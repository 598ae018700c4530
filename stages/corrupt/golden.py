"""Digests that every corruption must give on every machine, on images made by integers alone.

They are kept in ``golden.json`` beside this file. After an intended change of bytes raise the
`version` of the kernel and rewrite it with ``python -m stages.corrupt.golden``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pipeline.digest import digest_bytes
from pipeline.stream import Stream
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.rendering import SUITES, render, sample_stream, suite_for
from stages.vocabulary import SEVERITIES

GOLDEN_FILE = Path(__file__).with_name("golden.json")
GOLDEN_SHAPES = ((28, 28, 1), (47, 64, 3), (64, 33, 3), (224, 224, 3))

Golden: TypeAlias = dict[str, dict[str, Any]]
"""By corruption: the kernel's version, and one digest per severity."""


def generated_image(shape: tuple[int, int, int], name: str = "") -> Image:
    """Return an image of ramps, edges and fine texture made by integer arithmetic alone."""
    height, width, channels = shape
    y, x, c = np.ogrid[:height, :width, :channels]
    ramp = (x * 96) // width + (y * 64) // height + 16 * c
    blocks = 48 * ((x // 11 + y // 9 + c) % 2)
    words = Stream.of("generated image", name).words(height * width * channels)
    texture = (words >> np.uint64(59)).astype(np.int64).reshape(shape)
    return np.ascontiguousarray((ramp + blocks + texture).astype(np.uint8))


def golden_digests(name: str) -> Golden:
    """Return `golden_digests_of` each corruption of a shipped suite, by the corruption's name.

    Parameters
    ----------
    name : str
        A suite, or a suite and one of its datasets: ``"medmnist-c/bloodmnist"``.
    """
    entries = suite_for(name, *GOLDEN_SHAPES[0][:2]).corruptions
    return {entry.name: golden_digests_of(name, entry.name) for entry in entries}


def golden_digests_of(name: str, corruption: str) -> dict[str, Any]:
    """Return the version of a corruption's kernel and five digests.

    A digest covers the outputs of all `GOLDEN_SHAPES` at one severity, as far as they are large
    enough.
    """
    at = {shape: suite_for(name, *shape[:2]) for shape in GOLDEN_SHAPES}
    kernel = KERNELS[at[GOLDEN_SHAPES[0]].corruption(corruption).kernel]
    digests = []
    for severity in SEVERITIES:
        stream = sample_stream(0, "golden", "image", corruption, severity)
        outputs = b"".join(
            render(generated_image(shape), suite.corruption(corruption), severity, suite, stream)[
                0
            ].tobytes()
            for shape, suite in at.items()
            if min(shape[:2]) >= kernel.smallest_side
        )
        digests.append(digest_bytes(outputs)[:16])
    return {"kernel_version": kernel.version, "digests": digests}


def golden_names() -> list[str]:
    """Return every name that `golden_digests` takes."""
    names = []
    for name, suite in SUITES.items():
        names += [f"{name}/{dataset}" for dataset in sorted(suite.datasets)] or [name]
    return names


def shipped_golden() -> dict[str, Golden]:
    """Return the digests that this version promises, by name."""
    found: dict[str, Golden] = json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))
    return found


def differing(
    names: Sequence[str], progress: Callable[[str], None] = lambda _name: None
) -> list[tuple[str, str, int]]:
    """Return the name, corruption and severity of all that this machine renders otherwise."""
    promised = shipped_golden()
    found = []
    for name in names:
        progress(name)
        for corruption, rendered in golden_digests(name).items():
            pairs = zip(promised[name][corruption]["digests"], rendered["digests"], strict=True)
            found += [
                (name, corruption, severity)
                for severity, (expected, got) in enumerate(pairs, start=1)
                if expected != got
            ]
    return found


def as_json(digests: Mapping[str, Golden]) -> str:
    """Return digests as they are kept: a line for each corruption."""
    of_names = []
    for name, golden in digests.items():
        lines = (f"  {json.dumps(one)}: {json.dumps(found)}" for one, found in golden.items())
        of_names.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(of_names) + "\n}\n"


if __name__ == "__main__":
    digests = {name: golden_digests(name) for name in golden_names()}
    GOLDEN_FILE.write_text(as_json(digests), encoding="utf-8")
