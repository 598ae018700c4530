"""Every corruption at the size of driving scenes, 1024 × 2048."""

from __future__ import annotations

import importlib.resources
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.manifest import read_manifest
from stages.corrupt import corrupt
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.schema import SuiteManifest
from tests.road_scenes import scene

SHAPE = (1024, 2048)
LOCAL = {"black_corner", "bubble", "characters", "stain_deposit"}
"""Kernels that change some part of an image only."""


def one_of_each_kernel() -> dict[str, tuple[SuiteManifest, str]]:
    """Return, for each kernel, a suite of one corruption that uses it, and that one's name."""
    folder = Path(str(importlib.resources.files("manifests"))) / "corruptions"
    suites = [read_manifest(path, SuiteManifest) for path in sorted(folder.glob("*.toml"))]
    found: dict[str, tuple[SuiteManifest, str]] = {}
    for suite in suites:
        for corruption in suite.corruptions:
            # Any image will do here, also where a suite means a dataset's own.
            alone = (corruption.model_copy(update={"datasets": ()}),)
            one = suite.model_copy(update={"corruptions": alone})
            found.setdefault(corruption.kernel, (one, corruption.name))
    return found


CHOSEN = one_of_each_kernel()


@cache
def road() -> NDArray[np.uint8]:
    """Return one road scene, which no test may change."""
    image = scene("city-street", SHAPE, 0)
    image.setflags(write=False)
    return image


def test_every_kernel_is_tried() -> None:
    """Each kernel belongs to a suite, shipped or of the tests."""
    assert CHOSEN.keys() == KERNELS.keys()


@pytest.mark.parametrize("kernel", sorted(CHOSEN))
def test_a_road_scene_is_corrupted(kernel: str) -> None:
    """The result has the scene's shape, differs from it (in all quarters), and is repeatable."""
    suite, corruption = CHOSEN[kernel]
    clean = road()
    rendered = corrupt(clean, corruption, 3, suite=suite, sample="road")
    assert (rendered.shape, rendered.dtype) == (clean.shape, np.uint8)
    differs = (rendered != clean).any(axis=2).reshape(2, SHAPE[0] // 2, 2, SHAPE[1] // 2)
    quarters = differs.any(axis=(1, 3))
    assert quarters.any() if kernel in LOCAL else quarters.all()
    assert np.array_equal(rendered, corrupt(clean, corruption, 3, suite=suite, sample="road"))
