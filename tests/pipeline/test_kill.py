"""A killed build loses nothing: the same command ends with the digests of an undisturbed one."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from pipeline.store import LEASES, STAGING, STORE_FILE, Store
from pipeline.verify import verify
from tests.pipeline.processes import SMALL
from tests.pipeline.toy import Digests, build, digests_of

HARMLESS = {"leftover_staging", "unsealed"}
"""What a killed build may leave: neither is ever read."""
OPERATIONS = {
    *product(("before", "after"), ("make_folder", "write", "link", "replace")),
    *product(("before",), ("sync_folder", "sync_file")),
    ("within", "write"),
}
"""Where at least one kill must fall."""
CLI_KILLS = 4
SETS = "medimeta-c/tiny-blood/test/contrast/*"


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory, run_processes: Callable[..., None]
) -> list[Path]:
    """Return one store for every step of a build, each left by a process killed at that step."""
    folder = tmp_path_factory.mktemp("killed")
    run_processes(folder)
    return sorted(path for path in folder.iterdir() if path.suffix == ".txt")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """Return the digests of what the killed builds were to build."""
    root = tmp_path_factory.mktemp("small")
    build(root, SMALL).raise_failures()
    return digests_of(root)


def test_a_build_killed_at_any_step_is_completed_by_the_next(
    killed: list[Path], small: Digests, without_fsync: None
) -> None:
    """Wherever the kill falls, what is sealed is whole, and a re-run keeps it and ends equal."""
    assert {tuple(note.read_text().split()[:2]) for note in killed} >= OPERATIONS
    for note in killed:
        root, step = note.with_suffix(""), note.read_text()
        kinds = {problem.kind for problem in verify(Store(root))} if root.exists() else set()
        assert kinds <= HARMLESS, step
        before = _published(root)
        build(root, SMALL).raise_failures()
        assert digests_of(root) == small, step
        assert verify(Store(root)) == [], step
        after = _published(root)
        assert {name: after[name] for name in before} == before, step
        assert list((root / STAGING).iterdir()) == [], step


def test_a_killed_command_is_completed_by_the_same_command(
    tmp_path: Path, run_pipeline: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """After kill -9 at random moments, the command ends with an undisturbed build's digests."""
    command = ("build", "corruptions", "--datasets", "tiny-blood", "--only", SETS, "--workers", "2")
    started = time.monotonic()
    assert run_pipeline(*command, "--store", tmp_path / "reference").wait() == 0
    seconds = time.monotonic() - started
    reference = digests_of(tmp_path / "reference")
    assert len(reference) == 6
    moments = random.Random(20240229)
    root = tmp_path / "killed"
    for _ in range(CLI_KILLS):
        _kill(run_pipeline(*command, "--store", root), moments.uniform(0.5, 1.0) * seconds)
        kinds = {problem.kind for problem in verify(Store(root))}
        assert kinds <= HARMLESS
    assert run_pipeline(*command, "--store", root).wait() == 0
    assert digests_of(root) == reference
    assert verify(Store(root)) == []


def _kill(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()


def _published(root: Path) -> dict[str, int]:
    """Return the inode of every file that a writer must never remove or replace."""
    return {
        path.relative_to(root).as_posix(): path.stat().st_ino
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] not in {STAGING, LEASES, STORE_FILE}
    }
