"""Files that were made to harm: refused with one line, before anything is allocated or followed."""

from __future__ import annotations

import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import DataError
from stages.download import unpack as unpacking
from stages.download.readers.arrays import array
from stages.download.readers.hdf5 import plain_dataset
from stages.download.readers.medimeta import Hdf5Rows
from stages.download.unpack import unpack


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_links_and_devices_are_refused(kind: int, tmp_path: Path) -> None:
    """Only plain files and folders come out of an archive."""
    entry = zipfile.ZipInfo("dev")
    entry.external_attr = (kind | 0o666) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a special file"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_is_no_archive_here(tmp_path: Path) -> None:
    """A tar, in which hard links could lead anywhere, is not unpacked at all."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        link = tarfile.TarInfo("hard")
        link.type, link.linkname = tarfile.LNKTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="not a whole zip archive"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


def test_files_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """An archive whose central directory names the same packed bytes many times is no archive."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", np.random.default_rng(0).bytes(100_000))
        first = archive.infolist()[0]
        for number in range(50):
            copy = zipfile.ZipInfo(f"copy{number}")
            for name in ("compress_size", "file_size", "CRC", "header_offset", "compress_type"):
                setattr(copy, name, getattr(first, name))
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
        archive._didModify = True
    with pytest.raises(DataError, match="its files overlap"):
        unpack(path, tmp_path / "out")


def test_a_bomb_is_refused_by_its_own_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What unpacks to hundreds of times its size is refused before a byte is written."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(5_000_000))
    monkeypatch.setattr(unpacking, "SMALL_TOTAL", 1_000_000)
    with pytest.raises(DataError, match="no image collection"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_bomb_that_lies_is_refused_too(tmp_path: Path) -> None:
    """One that declares terabytes in a few bytes stops at its declaration."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1_000_000))
    data = (tmp_path / "x.zip").read_bytes()
    lie = (4_000_000_000).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(data.replace((1_000_000).to_bytes(4, "little"), lie))
    with pytest.raises(DataError, match="no image collection"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without content, which take inodes, are counted."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(11):
            archive.writestr(str(number), "")
    monkeypatch.setattr(unpacking, "MOST_FILES", 10)
    with pytest.raises(DataError, match="11 files are more than 10"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def hdf5(folder: Path, kind: str) -> Path:
    """Write an HDF5 file whose dataset `images` leads elsewhere, and where it leads."""
    secret = folder / "secret.hdf5"
    images = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    with h5py.File(secret, "w") as file:
        file["images"] = images
    path = folder / "images.hdf5"
    with h5py.File(path, "w") as file:
        match kind:
            case "external link":
                file["images"] = h5py.ExternalLink(str(secret), "images")
            case "link to nowhere":
                file["images"] = h5py.ExternalLink("/nowhere", "images")
            case "soft link to an external one":
                file["there"] = h5py.ExternalLink(str(secret), "images")
                file["images"] = h5py.SoftLink("/there")
            case "external storage":
                file.create_dataset(
                    "images", images.shape, np.uint8, external=[(str(secret), 0, 48)]
                )
            case "virtual":
                layout = h5py.VirtualLayout(images.shape, np.uint8)
                layout[:] = h5py.VirtualSource(secret, "images", images.shape)
                file.create_virtual_dataset("images", layout)
            case "without bound":
                file.create_dataset("images", (10**9, 4, 4, 3), np.uint8, chunks=(1, 4, 4, 3))
            case "group":
                file.create_group("images")
    return path


REFUSED = {
    "external link": "is a link, which may lead into another file",
    "link to nowhere": "is a link, which may lead into another file",
    "soft link to an external one": "is a link, which may lead into another file",
    "external storage": "in other files",
    "virtual": "in other files",
    "without bound": "bytes say that images holds 48000000000",
    "group": "no dataset named images",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_hdf5_that_leads_elsewhere_is_refused(kind: str, tmp_path: Path) -> None:
    """Data of other files are never read, nor is memory taken for what cannot be there."""
    rows = Hdf5Rows(hdf5(tmp_path, kind), np.array([0]))
    with pytest.raises(DataError, match=REFUSED[kind]):
        rows(0, 1)


def test_a_group_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """On the way to a dataset, too, no link leads out of the file."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cjdata"] = h5py.ExternalLink("b.mat", "/")
    with h5py.File(tmp_path / "a.mat") as file, pytest.raises(DataError, match="another file"):
        plain_dataset(tmp_path / "a.mat", file, "cjdata/image")


def test_a_plain_dataset_is_read(tmp_path: Path) -> None:
    """What lies in the file itself is given as it is."""
    path = hdf5(tmp_path, "group").with_name("secret.hdf5")
    with h5py.File(path) as file:
        assert plain_dataset(path, file, "images").shape == (1, 4, 4, 3)
        with pytest.raises(KeyError):
            plain_dataset(path, file, "labels")


def test_an_npy_header_without_bound_takes_no_memory(tmp_path: Path) -> None:
    """A small file whose header claims terabytes is refused before memory is taken for them."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"12345678"
    (tmp_path / "x.npy").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="8 bytes of data instead of 1000000000000"):
            array(tmp_path / "x.npy")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_npy_of_objects_is_refused(tmp_path: Path) -> None:
    """Pickled objects, which run code when they are loaded, are refused."""
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a whole npy file of numbers"):
        array(tmp_path / "x.npy")
