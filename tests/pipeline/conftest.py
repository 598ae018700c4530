"""Stores of the toy to compare with and to damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.store import Store
from pipeline.verify import verify
from tests.pipeline.toy import Digests, Toy, build, digests_of

REPOSITORY = Path(__file__).parents[2]

TINY = """
schema = 1
id = "tiny-blood"
title = "Tiny"
collection = "phantom"
modality = "synthetic blood cell microscopy"
task = "multi-class"
classes = ["neutrophil", "eosinophil", "basophil", "lymphocyte"]
channels = 3
size = 28
synthetic = true
citation = "none"
licence = {spdx = "CC0-1.0", redistribution = "pixels", share_alike = false, source = "tests"}
reader = {form = "phantom", modality = "blood"}
splits = {test = 6}
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that holds the toy, built undisturbed; not to be changed."""
    root = tmp_path_factory.mktemp("built") / "store"
    build(root).raise_failures()
    return root


@pytest.fixture(scope="session")
def reference(built: Path) -> Digests:
    """Return the digests of an undisturbed build of the toy."""
    return digests_of(built)


@pytest.fixture(scope="session")
def everything(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that holds every kind of file; not to be changed."""
    root = tmp_path_factory.mktemp("everything") / "store"
    shutil.copytree(built, root)
    store = Store(root)
    store.pin("files", "toy", "0" * 64)
    store.record_damaged({})
    build(root, Toy(numbers_version=2).targets()).raise_failures()
    assert verify(Store(root)) == []
    return root


@pytest.fixture
def store_root(everything: Path, tmp_path: Path) -> Path:
    """Return a copy of the store with every kind of file, to be damaged."""
    return Path(shutil.copytree(everything, tmp_path / "store"))


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """Return a copy of the built store, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "store"))


@pytest.fixture
def toy() -> Toy:
    """Return the toy's graph."""
    return Toy()


@pytest.fixture
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the time of fsync where no power is cut."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def run_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return a function that starts the command line on a tiny dataset, in a process of its own."""
    home = tmp_path_factory.mktemp("home")
    (home / "manifests" / "datasets").mkdir(parents=True)
    (home / "manifests" / "datasets" / "tiny.toml").write_text(TINY)
    environment = {
        "XDG_STATE_HOME": str(home),
        "MEDSHARDS_MANIFESTS": str(home / "manifests"),
    }

    def start(
        *arguments: str | Path, program: Sequence[str] = ("-m", "pipeline")
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            cwd=REPOSITORY,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
        )

    return start


@pytest.fixture(scope="session")
def run_processes() -> Callable[..., None]:
    """Return a function that runs `tests.pipeline.processes` to its end."""

    def processes(*arguments: str | Path) -> None:
        # Forking beside other threads, such as those of an allocator, is only warned of.
        python = [sys.executable, "-W", "ignore::DeprecationWarning"]
        command = [*python, "-m", "tests.pipeline.processes", *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    return processes
