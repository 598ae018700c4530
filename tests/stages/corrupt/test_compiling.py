"""Compiled kernels are cached under a digest of their sources, and work without a cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels import compiling


@pytest.fixture(autouse=True)
def _forget_folders() -> Iterator[None]:
    compiling.cache_folder.cache_clear()
    yield
    compiling.cache_folder.cache_clear()


def test_the_cache_lies_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XDG_CACHE_HOME, or else ~/.cache, holds it; numba's own setting goes first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = compiling.cache_folder("", "1")
    assert folder is not None
    assert folder.parent == tmp_path / "xdg" / "medshards"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert compiling.cache_folder("", "2").parent == tmp_path / "home/.cache/medshards"  # type: ignore[union-attr]
    assert compiling.cache_folder(str(tmp_path / "own"), "1") == tmp_path / "own" / folder.name


def test_any_change_of_a_source_or_of_numba_names_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's name covers every kernel source and numba's version."""
    sources = tmp_path / "kernels"
    shutil.copytree(Path(compiling.__file__).parent, sources)
    before = compiling.cache_folder(str(tmp_path), "1")
    monkeypatch.setattr(compiling, "__file__", str(sources / "compiling.py"))
    compiling.cache_folder.cache_clear()
    assert compiling.cache_folder(str(tmp_path), "1") == before
    assert compiling.cache_folder(str(tmp_path), "2") != before
    (sources / "scratch.py").write_text("changed")
    compiling.cache_folder.cache_clear()
    assert compiling.cache_folder(str(tmp_path), "1") != before


def test_kernels_compile_where_no_cache_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a home nor temporary files cost the cache and nothing else."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compiling.tempfile, "tempdir", str(tmp_path / "file"))
    assert compiling.cache_folder("", numba.__version__) is None
    values = np.arange(3.0)
    _double(values)
    assert values.tolist() == [0.0, 2.0, 4.0]


def test_a_home_that_became_read_only_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compiled goes on to serve, from a private copy that grows; others' are refused."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(compiling.tempfile, "tempdir", str(tmp_path))
    home = compiling.cache_folder("", "1")
    assert home is not None
    (home / "compiled").write_text("machine code")
    probe = compiling.tempfile.TemporaryFile

    def refusing(dir: Path) -> object:  # noqa: A002
        if dir == home:
            raise PermissionError(dir)
        return probe(dir=dir)

    monkeypatch.setattr(compiling.tempfile, "TemporaryFile", refusing)
    compiling.cache_folder.cache_clear()
    private = compiling.cache_folder("", "1")
    assert private is not None
    assert private.parent.parent == tmp_path
    assert private.parent.stat().st_mode & 0o077 == 0
    assert (private / "compiled").read_text() == "machine code"
    private.parent.chmod(0o777)
    compiling.cache_folder.cache_clear()
    assert compiling.cache_folder("", "1") is None


def test_compiling_leaves_numbas_settings_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code's numba cache stays where it was, and ours is filled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings: Any = numba.config
    before = settings.CACHE_DIR
    _triple(np.arange(3.0))
    assert before == settings.CACHE_DIR
    assert list(tmp_path.glob("medshards/kernels-*/*/*.nbi"))


@compiling.compiled("void(float64[::1])")
def _double(values: NDArray[np.float64]) -> None:
    for i in range(values.size):
        values[i] *= 2.0


@compiling.compiled("void(float64[::1])")
def _triple(values: NDArray[np.float64]) -> None:
    for i in range(values.size):
        values[i] *= 3.0
