"""Several writers of one store: what each leaves, and whose files they are."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import locks
from pipeline.disk import Disk
from pipeline.errors import HeldError
from pipeline.locks import Leases
from pipeline.store import LEASES, OWNER, STAGING, Store
from pipeline.verify import verify
from tests.pipeline.holders import beat, holding, kill, moved_elsewhere
from tests.pipeline.toy import build


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_has_is_not(
    tmp_path: Path,
) -> None:
    """Staging folders and leases go with their process, at the next build."""
    root = tmp_path / "store"
    process = holding(root, "write")
    try:
        (session,) = (root / STAGING).iterdir()
        with Store(root).writing():
            assert session.exists()
        assert Store(root).is_being_written()
        kill(process)
        assert Store(root).orphans() == [session]
        assert {problem.kind for problem in verify(Store(root))} == {"leftover_staging"}
        with Store(root).writing():
            assert not session.exists()
        assert list((root / LEASES).iterdir()) == []
    finally:
        process.kill()
        process.communicate()


def test_a_writer_elsewhere_that_is_silent_for_long_does_not_keep_a_store_from_others(
    tmp_path: Path,
) -> None:
    """To have a store alone takes the time until it is certain that nobody lives."""
    root, other = tmp_path / "store", Store(tmp_path / "store")
    other._leases = Leases(silence=0.05)
    with Store(root).writing():
        (owner,) = (root / LEASES).glob(f"*{OWNER}")
        moved_elsewhere(owner)
        with other.alone():
            pass


def test_a_writer_elsewhere_that_beats_is_not_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To have a store alone is refused as long as it lives."""
    root = tmp_path / "store"
    with Store(root).writing():
        (owner,) = (root / LEASES).glob(f"*{OWNER}")
        moved_elsewhere(owner)
        beats = iter(range(1, 1000))
        time = SimpleNamespace(sleep=lambda _: beat(owner, next(beats)))
        monkeypatch.setattr(locks, "time", time)
        with pytest.raises(HeldError), Store(root).alone():
            pass


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_store_in_a_folder_of_a_group_belongs_to_the_group(umask: int, tmp_path: Path) -> None:
    """All folders are the group's to write, all published files everybody's to read alone."""
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o2775)
    before = os.umask(umask)
    try:
        build(root).raise_failures()
    finally:
        os.umask(before)
    modes = Counter((path.is_dir(), path.stat().st_mode & 0o7777) for path in root.rglob("*"))
    assert set(modes) == {(True, 0o2775), (False, 0o444)}
    assert {path.stat().st_gid for path in root.rglob("*")} == {root.stat().st_gid}
    assert verify(Store(root)) == []


def test_folders_made_at_once_are_all_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes a folder in one that another is just making finds it the group's already."""
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o2775)
    change = Path.chmod
    others = iter(["a/b", "a/b/c"])

    def chmod(path: Path, mode: int) -> None:
        for other in others:
            Disk().make_folder(root / other)
        change(path, mode)

    monkeypatch.setattr(Path, "chmod", chmod)
    Disk().make_folder(root / "a")
    made = {str(path.relative_to(root)): path.stat().st_mode & 0o7777 for path in root.rglob("*")}
    assert made == dict.fromkeys(("a", "a/b", "a/b/c"), 0o2775)


def test_a_store_of_one_person_keeps_the_umask(tmp_path: Path) -> None:
    """Nothing is opened to a group that was not asked for."""
    before = os.umask(0o077)
    try:
        build(tmp_path / "store").raise_failures()
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "store").rglob("*")} == {0}
