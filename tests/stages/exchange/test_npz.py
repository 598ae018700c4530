"""npz files written from parts and read in parts, without ever loading a pickle."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import DataError
from stages.exchange.npz import Member, stored, whole, write_npz

ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "<i8", "<f4", "?", "<U5"]),
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
)


@given(array=ARRAYS, cut=st.integers(0, 5))
def test_numpy_reads_what_was_written_in_parts(array: np.ndarray, cut: int) -> None:
    """Any array comes back from numpy.load as it was, however it was cut into parts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        write_npz(path, [Member("x", array.dtype, array.shape, [array[:cut], array[cut:]])])
        with np.load(path, allow_pickle=False) as found:
            np.testing.assert_array_equal(found["x"], array)
            assert found["x"].dtype == array.dtype


@given(array=ARRAYS, compressed=st.booleans(), data=st.data())
def test_rows_of_numpys_own_files_are_read(
    array: np.ndarray, compressed: bool, data: st.DataObject
) -> None:
    """Any range of rows is read from what numpy has written, compressed or not."""
    start = data.draw(st.integers(0, len(array)))
    stop = data.draw(st.integers(start, len(array)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        (np.savez_compressed if compressed else np.savez)(path, other=array[:1], x=array)
        parts = list(stored(path, "x").parts(start, stop, at_once=16))
        found = np.concatenate(parts) if parts else array[:0]
        np.testing.assert_array_equal(found, array[start:stop])


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of when or where it was written is in a file."""
    array = np.arange(12).reshape(3, 4)
    for name in ("a.npz", "b.npz"):
        write_npz(tmp_path / name, [whole("x", array)])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_parts_must_make_up_the_array(tmp_path: Path) -> None:
    """Too few rows, or rows of another type, are refused."""
    array = np.zeros((3, 2), np.uint8)
    with pytest.raises(DataError, match="2 rows instead of 3"):
        write_npz(tmp_path / "a.npz", [Member("x", array.dtype, (3, 2), [array[:2]])])
    with pytest.raises(DataError, match="a part is int64"):
        write_npz(tmp_path / "a.npz", [Member("x", array.dtype, (3, 2), [array.astype("i8")])])


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    """An array of Python objects is refused by its header."""
    np.savez(tmp_path / "a.npz", x=np.array([{}, []], object))
    with pytest.raises(DataError, match="pickle"):
        stored(tmp_path / "a.npz", "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "not an npz file"),
        ({"y.npy": b""}, "has no array 'x'; it has y"),
        ({"x.npy": b"\x93NUMPY\x07"}, "not an npy array"),
        ({}, "it has nothing"),
    ],
)
def test_what_is_no_npz_is_one_clear_line(
    tmp_path: Path, content: bytes | dict[str, bytes], message: str
) -> None:
    """Files of another kind, and without the array, are refused with their path."""
    path = tmp_path / "a.npz"
    if isinstance(content, dict):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        stored(path, "x")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_array_cut_short_is_noticed(tmp_path: Path) -> None:
    """A member with fewer bytes than its header says is refused when it is read."""
    memory = io.BytesIO()
    np.save(memory, np.arange(100))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", memory.getvalue()[:-8])
    with pytest.raises(DataError, match="ends before its last row"):
        list(stored(tmp_path / "a.npz", "x").parts(0, 100))


def test_columns_first_are_refused(tmp_path: Path) -> None:
    """An array whose rows do not lie one after the other is refused."""
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(np.zeros((3, 4))))
    with pytest.raises(DataError, match="Fortran order"):
        stored(tmp_path / "a.npz", "x")
