"""Fixtures of the tests of segmentation readers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.store import Store
from stages.download.segmenting.schema import SegmentationDataset
from tests.stages.download.segmenting.building import REPOSITORY, dataset_in


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., SegmentationDataset]:
    """Return a function that declares the tiny dataset in `tmp_path / "data"`."""

    def make(**changes: Any) -> SegmentationDataset:
        return dataset_in(tmp_path / "data", **changes)

    return make


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Return a function that finds a folder of the shared data, or skips."""

    def find(name: str) -> Path:
        data = Path(os.environ.get("MEDSHARDS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
        if not (data / name).is_dir():
            pytest.skip(f"{name} is not in MEDSHARDS_TEST_DATA")
        return data / name

    return find
