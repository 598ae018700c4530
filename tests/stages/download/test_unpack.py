"""Unpacking: whole or not at all, and nothing outside the folder."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, StoreError
from stages.download.unpack import unpack


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    """Write a deflated zip of `files`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refused(archive: Path, tmp_path: Path, message: str) -> None:
    """Assert that unpacking fails with `message` and leaves nothing at all."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message):
        unpack(archive, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_every_file_is_unpacked_in_order(tmp_path: Path) -> None:
    """All files come out with their bytes, sorted, folders included."""
    files = {"b/two.txt": b"2" * 3_000_000, "a.txt": b"1", "b/empty": b""}
    archive = archive_of(tmp_path / "x.zip", files)
    paths = unpack(archive, tmp_path / "deep" / "out")
    root = tmp_path / "deep" / "out"
    assert [path.relative_to(root).as_posix() for path in paths] == sorted(files)
    assert {path.relative_to(root).as_posix(): path.read_bytes() for path in paths} == files
    assert [path.name for path in root.parent.iterdir()] == ["out"]


def test_an_npz_becomes_npy_files(tmp_path: Path) -> None:
    """The arrays of an npz, packed or not, can be mapped afterwards."""
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for name, save in (("a.npz", np.savez), ("b.npz", np.savez_compressed)):
        save(tmp_path / name, images=array)
        (path,) = unpack(tmp_path / name, tmp_path / f"{name}.out")
        assert path.name == "images.npy"
        assert np.array_equal(np.load(path, mmap_mode="r"), array)


def test_members_choose_what_comes_out(tmp_path: Path) -> None:
    """Only chosen files are unpacked; choosing what is not there is an error."""
    archive = archive_of(tmp_path / "x.zip", {"a": b"1", "b": b"2"})
    (path,) = unpack(archive, tmp_path / "out", lambda names: names[:1])
    assert path.name == "a"
    with pytest.raises(DataError, match="it lacks c"):
        unpack(archive, tmp_path / "other", lambda names: ["c"])


def test_a_second_call_keeps_what_is_there(tmp_path: Path) -> None:
    """A folder with the same files stays; an empty one is filled; another is refused."""
    archive = archive_of(tmp_path / "x.zip", {"a": b"1"})
    (tmp_path / "out").mkdir()
    (path,) = unpack(archive, tmp_path / "out")
    inode = path.stat().st_ino
    assert unpack(archive, tmp_path / "out")[0].stat().st_ino == inode
    path.write_bytes(b"longer")
    with pytest.raises(StoreError, match="holds other files"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["../a", "/a", "b/../../a", "C:/a", "b\\..\\a"])
def test_paths_outside_are_refused(name: str, tmp_path: Path) -> None:
    """A name that leads out of the folder, here or on another system, stops everything."""
    archive = archive_of(tmp_path / "x.zip", {"good": b"1", name: b"2"})
    refused(archive, tmp_path, "written outside the folder")


def test_links_are_refused(tmp_path: Path) -> None:
    """A symbolic link in the archive stops everything."""
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    refused(tmp_path / "x.zip", tmp_path, "is a link")


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """Two entries of one name, or a file and a folder of one name, are not guessed about."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "2")
    refused(tmp_path / "x.zip", tmp_path, "is in the archive twice")
    refused(archive_of(tmp_path / "y.zip", {"a": b"1", "a/b": b"2"}), tmp_path, "a/b")


def test_too_much_is_refused_before_writing(tmp_path: Path) -> None:
    """An archive that would unpack to more than allowed is refused by its own record."""
    archive = archive_of(tmp_path / "x.zip", {"zeros": bytes(1_000_000)})
    with pytest.raises(DataError, match="more than 1000"):
        unpack(archive, tmp_path / "out", largest_total=1_000)
    assert not (tmp_path / "out").exists()


def test_a_lying_length_is_found(tmp_path: Path) -> None:
    """A member that inflates to more than it declares never comes out."""
    archive = archive_of(tmp_path / "x.zip", {"zeros": bytes(1_000_000)})
    raw = archive.read_bytes()
    honest, lie = (1_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little")
    assert raw.count(honest) == 2
    archive.write_bytes(raw.replace(honest, lie))
    refused(archive, tmp_path, "is damaged")


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    """A changed byte inside a member fails its CRC."""
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("stored", b"abcdefgh" * 1_000)
    raw = bytearray(archive.read_bytes())
    raw[4_000] ^= 1
    archive.write_bytes(raw)
    refused(archive, tmp_path, "is damaged")


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_truncated_archive_is_found(keep: int, tmp_path: Path) -> None:
    """An archive that ends early, or is none, is one clear error."""
    archive = archive_of(tmp_path / "x.zip", {"a": np.random.default_rng(0).bytes(5_000)})
    archive.write_bytes(archive.read_bytes()[:keep])
    refused(archive, tmp_path, "not a whole zip archive")


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    """An encrypted member is named instead of asking for a password."""
    archive = archive_of(tmp_path / "x.zip", {"a": b"1"})
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    refused(archive, tmp_path, "is encrypted")


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    """A zip without files is not silently an empty dataset."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    refused(tmp_path / "x.zip", tmp_path, "it lacks any file")
