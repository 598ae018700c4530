"""Whatever a power cut drops that was not synced, what is sealed is whole.

A kill cannot show this: what a killed process has written stays in the system's memory.
"""

from __future__ import annotations

import random
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.power import (
    Log,
    LoggingDisk,
    Operation,
    StoppedError,
    Tree,
    after_power_cut,
    write_tree,
)
from pipeline.store import Store
from pipeline.verify import verify
from tests.pipeline.processes import SMALL
from tests.pipeline.toy import Digests, Toy, build, digests_of

HARMLESS = {"leftover_staging", "unsealed"}

pytestmark = pytest.mark.usefixtures("without_fsync")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, Log]:
    """Return the logs of two builds: by one worker, and by two."""
    return (
        _logged(tmp_path_factory.mktemp("one"), workers=1),
        _logged(tmp_path_factory.mktemp("two"), workers=2),
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """Return the digests of an undisturbed build."""
    root = tmp_path_factory.mktemp("small")
    build(root, SMALL).raise_failures()
    return digests_of(root)


def test_a_power_cut_at_any_step_that_drops_all_it_can_leaves_only_whole_artifacts(
    logs: tuple[Log, ...], small: Digests
) -> None:
    """With all unsynced changes gone, what is sealed verifies and a re-run ends equal."""
    log = logs[0]
    assert len(log) > 100
    seen: list[Tree] = []
    for length in range(len(log) + 1):
        tree = after_power_cut(log[:length], lambda: False)
        if tree not in seen:
            seen.append(tree)
            _check(tree, small, f"after {log[:length][-1:]}", rebuild=True)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    workers=st.sampled_from([0, 1]),
    at=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    keep=st.floats(0, 1),
)
def test_a_power_cut_that_drops_any_of_the_unsynced_leaves_only_whole_artifacts(
    logs: tuple[Log, ...],
    small: Digests,
    workers: int,
    at: float,
    seed: int,
    keep: float,
) -> None:
    """With any unsynced changes gone, what is sealed verifies and a re-run ends equal."""
    log = logs[workers]
    draw = random.Random(seed)
    tree = after_power_cut(log[: round(at * len(log))], lambda: draw.random() < keep)
    _check(tree, small, f"{workers=} {at=} {seed=} {keep=}", rebuild=seed % 4 == 0)


def test_what_a_build_says_is_sealed_survives_a_power_cut(
    logs: tuple[Log, ...], small: Digests
) -> None:
    """Once a build has returned, a power cut takes nothing of it."""
    for log in logs:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "store"
            write_tree(after_power_cut(log, lambda: False), root)
            assert digests_of(root) == small


def test_what_a_killed_build_left_unsynced_is_synced_by_the_next(
    logs: tuple[Log, ...], small: Digests, tmp_path: Path
) -> None:
    """What a build seals after a kill before any sync survives a power cut as a whole."""
    syncs = [step for step, operation in enumerate(logs[0]) if operation.kind == "sync"]
    for step in syncs:
        root, cut = tmp_path / f"{step}", tmp_path / f"{step}-cut"
        log = Log()
        with pytest.raises(StoppedError):
            build(root, SMALL, disk=LoggingDisk(root, log, stop_before=step))
        sealed_before = digests_of(root).keys()
        build(root, SMALL, disk=LoggingDisk(root, log)).raise_failures()
        write_tree(after_power_cut(log, lambda: False), cut)
        found = digests_of(cut)
        assert found == {label: small[label] for label in found}, log[step - 1]
        assert small.keys() - found.keys() <= sealed_before, log[step - 1]
        assert _kinds(cut) <= HARMLESS, log[step - 1]


def test_a_manifest_never_outlives_the_records_of_other_workers(tmp_path: Path) -> None:
    """A worker that seals syncs the records that others have published and not synced."""
    root, log = tmp_path / "store", Log()
    disk = _LateSync(root, log)
    build(root, [Toy().numbers()], workers=2, disk=disk).raise_failures()
    assert disk.held
    sealed = max(i for i, operation in enumerate(log) if operation.path.endswith("manifest.json"))
    sync = Operation("sync", log[sealed].path.rpartition("/")[0])
    write_tree(after_power_cut([*log[: sealed + 1], sync], lambda: False), tmp_path / "cut")
    assert Store(tmp_path / "cut").sealed(Toy().numbers().recipe) is not None
    assert _kinds(tmp_path / "cut") <= HARMLESS


class _LateSync(LoggingDisk):
    """Holds back the first worker that comes to sync its record until the manifest is there."""

    def __init__(self, root: Path, log: Log) -> None:
        super().__init__(root, log)
        self.held = False
        self._sealed = threading.Event()

    def sync_folder(self, path: Path) -> None:
        if path.name == "records" and path.parts[-5] == "numbers" and not self.held:
            self.held = True
            self._sealed.wait(20)
        super().sync_folder(path)

    def link(self, staged: Path, final: Path) -> None:
        super().link(staged, final)
        if final.name == "manifest.json" and final.parts[-5] == "numbers":
            self._sealed.set()


def _logged(folder: Path, workers: int) -> Log:
    log = Log()
    build(folder, SMALL, workers=workers, disk=LoggingDisk(folder, log)).raise_failures()
    return log


def _check(tree: Tree, reference: Digests, moment: str, *, rebuild: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        write_tree(tree, root)
        assert _kinds(root) <= HARMLESS, moment
        found = digests_of(root)
        assert found == {label: reference[label] for label in found}, moment
        if rebuild:
            build(root, SMALL).raise_failures()
            assert digests_of(root) == reference, moment
            assert _kinds(root) == set(), moment


def _kinds(root: Path) -> set[str]:
    return {problem.kind for problem in verify(Store.open(root))}
