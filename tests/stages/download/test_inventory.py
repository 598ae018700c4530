"""Inventories of folders: complete, ordered, and never wrong for being remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import DataError
from stages.download.inventory import inventory

OLD = 1_600_000_000


def write(path: Path, content: bytes, time: int = OLD) -> None:
    """Write a file that was last changed at `time`, seconds since the epoch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time, time))


def test_files_come_sorted_with_size_and_digest(tmp_path: Path) -> None:
    """Every visible file is listed by its path; hidden ones are not."""
    for name in ("b/two", "a", "b/.hidden", ".git/config"):
        write(tmp_path / "root" / name, name.encode())
    entries = inventory(tmp_path / "root", tmp_path / "memory.json")
    assert entries == [("a", 1, digest_bytes(b"a")), ("b/two", 5, digest_bytes(b"b/two"))]


def test_known_digests_are_reused_only_for_unchanged_files(tmp_path: Path) -> None:
    """The memory answers for a file of the same inode, size and time, and for no other."""
    memory = tmp_path / "memory.json"
    write(tmp_path / "root" / "a", b"one")
    first = inventory(tmp_path / "root", memory)
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps(dict.fromkeys(known, "remembered")))
    assert inventory(tmp_path / "root", memory)[0].blake3 == "remembered"
    write(tmp_path / "root" / "a", b"two", OLD + 1)
    assert inventory(tmp_path / "root", memory)[0].blake3 == digest_bytes(b"two")
    assert first[0].blake3 == digest_bytes(b"one")


def test_a_file_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    """A file so new that it may change within a clock tick is digested every time."""
    write(tmp_path / "root" / "a", b"one")
    (tmp_path / "root" / "a").touch()
    inventory(tmp_path / "root", tmp_path / "memory.json")
    assert not (tmp_path / "memory.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_damaged_memory_is_ignored(content: str, tmp_path: Path) -> None:
    """The memory is an accelerator: any content of it gives the same inventory."""
    write(tmp_path / "root" / "a", b"one")
    (tmp_path / "memory.json").write_text(content)
    assert inventory(tmp_path / "root", tmp_path / "memory.json")[0].blake3 == digest_bytes(b"one")


def test_an_unwritable_memory_is_ignored(tmp_path: Path) -> None:
    """Where the cache folder cannot be made, the inventory is made all the same."""
    write(tmp_path / "root" / "a", b"one")
    (tmp_path / "file").write_bytes(b"")
    assert inventory(tmp_path / "root", tmp_path / "file" / "memory.json")


def test_the_default_memory_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written into the inventoried folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "root" / "a", b"one")
    inventory(tmp_path / "root")
    assert len(list((tmp_path / "cache" / "medshards").iterdir())) == 1
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["a"]


def test_links_to_folders_and_missing_folders_are_refused(tmp_path: Path) -> None:
    """What lies behind a link to a folder could change unseen."""
    with pytest.raises(DataError, match="no such folder"):
        inventory(tmp_path / "root", tmp_path / "memory.json")
    write(tmp_path / "root" / "a", b"one")
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link to a folder"):
        inventory(tmp_path / "root", tmp_path / "memory.json")
