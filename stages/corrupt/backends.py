"""What can render a suite: our kernels, the package they are compared with, or torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import MissingInputError, UsageError
from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.kernel import Image, Kernel, Parameters, Shape, one_by_one
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.naming import Backend
from stages.corrupt.reference import SMALLEST_SIDE, reference_corrupt
from stages.corrupt.rendering import SUITES
from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest

NOT_ON_TORCH = "none: torch has no such kernel"
"""What stands for the renderer of a set that can be named, but not built."""

_TORCH_BYTES_AT_ONCE = 1 << 25
"""Fills a GPU, whose memory holds up to 100 times as much meanwhile."""


def identity(backend: Backend, suite: SuiteManifest, corruption: CorruptionDeclaration) -> str:
    """Return what the key of a set says of its renderer, or `NOT_ON_TORCH`.

    Raises
    ------
    UsageError
        If the backend cannot render the suite: the package has severities of its own.
    MissingInputError
        If the package of that name is not installed.
    """
    kernel = corruption.kernel
    if backend == "native":
        return f"native {KERNELS[kernel].version}"
    if backend == "torch":
        from stages.corrupt.on_torch import BATCHED  # only its table, not torch

        if kernel not in BATCHED:
            return NOT_ON_TORCH
        return f"torch {BATCHED[kernel].version} of native {KERNELS[kernel].version}"
    if suite.package != backend:
        message = f"backend {backend} renders suites with its own severities, not {suite.id}"
        raise UsageError(message)
    _require_its_own(corruption, suite)
    if importlib.util.find_spec(backend) is None:
        message = f"the package {backend} is not installed: pip install {backend}"
        raise MissingInputError(message)
    return f"{backend} {importlib.metadata.version(backend)}"


def _require_its_own(corruption: CorruptionDeclaration, suite: SuiteManifest) -> None:
    """Refuse numbers that the package would not render: those of imagenet-c are its own."""
    own = {entry.name: entry for entry in SUITES["imagenet-c"].corruptions}
    found = own.get(corruption.name)
    same = found is not None and found.kernel == corruption.kernel
    if found is None or not same or found.severities != corruption.severities:
        message = (
            f"suite {suite.id}: the package {suite.package} has no {corruption.name} with these "
            "severities; take those of imagenet-c, or remove 'package' from the suite"
        )
        raise UsageError(message)


def kernel_of(
    backend: Backend, corruption: CorruptionDeclaration, severity: int, device: str = "auto"
) -> Kernel[Any]:
    """Return the kernel that renders `corruption` at `severity` with `backend`.

    `device` is that of torch: "auto", "cpu", "cuda" or "cuda:1".

    Raises
    ------
    UsageError
        If torch has no such kernel.
    """
    kernel = KERNELS[corruption.kernel]
    if backend == "native":
        return kernel
    if backend == "torch":
        from stages.corrupt.on_torch import BATCHED

        if kernel.name not in BATCHED:
            raise not_on_torch([kernel.name])
        apply = BATCHED[kernel.name].on(device)
        return replace(kernel, apply=apply, bytes_at_once=_TORCH_BYTES_AT_ONCE)
    return _of_package(kernel, corruption.name, severity)


def not_on_torch(kernels: Sequence[str]) -> UsageError:
    """Return the error for kernels that torch does not have."""
    return UsageError(
        f"backend torch has no {', '.join(kernels)}; render that with native,"
        " and select the others by --only '<suite>@torch/<dataset>/<split>/<corruption>/*'"
    )


def _of_package(kernel: Kernel[Any], name: str, severity: int) -> Kernel[Any]:
    """Return a kernel that calls the package, seeded from the image's own stream."""

    def draw(stream: Stream, _severity: Declared, _shape: Shape) -> dict[str, int | float | str]:
        return {"package_seed": stream.child("package").key >> 32}

    def apply(image: Image, parameters: Parameters) -> Image:
        return reference_corrupt(image, name, severity, seed=int(parameters["package_seed"]))

    smallest = max(kernel.smallest_side, SMALLEST_SIDE)
    return replace(kernel, draw=draw, apply=one_by_one(apply), smallest_side=smallest)
