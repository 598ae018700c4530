"""Shards: our writer and zarr-python understand each other, and reading is like NumPy."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline.errors import VerificationError
from pipeline.shards import (
    TARGET_BYTES,
    ItemSpec,
    ShardBuffer,
    ShardedArray,
    array_metadata,
    missing_items,
    rows_per_shard,
    shard_name,
)

DTYPES = ["bool", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"]


@st.composite
def arrays(draw: st.DrawFn) -> tuple[NDArray[Any], int]:
    """Draw an array of items and the rows of a shard; black items and partial shards included."""
    rows = draw(st.integers(1, 9))
    shape = draw(st.lists(st.integers(1, 4), max_size=3))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    items = draw(hnp.arrays(dtype, (rows, *shape), fill=st.just(dtype.type(0))))
    return items, draw(st.integers(1, rows))


def write(folder: Path, items: NDArray[Any], slots: int) -> ShardedArray:
    """Write an array in shards of `slots` rows; return our reader of it."""
    spec = ItemSpec(items.dtype.name, items.shape[1:])
    buffer = ShardBuffer(spec, slots)
    counts = []
    folder.mkdir(parents=True, exist_ok=True)
    for shard, start in enumerate(range(0, len(items), slots)):
        part = items[start : start + slots]
        buffer.items(len(part))[:] = part
        (folder / shard_name(spec, shard)).write_bytes(buffer.finish(len(part)))
        counts.append(len(part))
    (folder / "zarr.json").write_bytes(array_metadata(spec, len(items), slots))
    return ShardedArray(folder, spec, tuple(counts))


@pytest.mark.parametrize("nbytes", [1, 1000, 3000, 5000])
def test_a_buffer_has_room_for_its_shard(nbytes: int) -> None:
    """Whatever its size has to do with that of a block."""
    buffer = ShardBuffer(ItemSpec("uint8", (nbytes,)), 2)
    buffer.items(2)[:] = 7
    assert len(buffer.finish(2)) == 2 * (nbytes + 4) + 2 * 16 + 4


@settings(deadline=None)
@given(arrays())
def test_zarr_reads_what_we_write(drawn: tuple[NDArray[Any], int]) -> None:
    """Plain `zarr.open` gives the same items, dtype, shape, chunks and dimension names."""
    items, slots = drawn
    with tempfile.TemporaryDirectory() as folder:
        ours = write(Path(folder), items, slots)
        theirs = zarr.open_array(folder, mode="r")
        assert theirs.shape == ours.shape == items.shape
        assert theirs.dtype == ours.dtype == items.dtype
        assert theirs.chunks == (1, *items.shape[1:])
        assert theirs.shards == (slots, *items.shape[1:])
        assert theirs.metadata.dimension_names[0] == "sample"
        np.testing.assert_array_equal(theirs[:], items)
        np.testing.assert_array_equal(ours[:], items)


@settings(deadline=None)
@given(arrays())
def test_we_read_what_zarr_writes(drawn: tuple[NDArray[Any], int]) -> None:
    """Shards that zarr-python writes with the same codecs are the same bytes as ours."""
    items, slots = drawn
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ours = write(root / "ours", items, slots)
        theirs = zarr.create_array(
            root / "theirs",
            shape=items.shape,
            dtype=items.dtype,
            chunks=(1, *items.shape[1:]),
            shards=(slots, *items.shape[1:]),
            filters=None,
            compressors=zarr.codecs.Crc32cCodec(),
            fill_value=0,
            chunk_key_encoding={"name": "default", "separator": "."},
            config={"write_empty_chunks": True},
        )
        theirs[:] = items
        shards = sorted(path.name for path in (root / "ours").glob("c.*"))
        assert sorted(path.name for path in (root / "theirs").glob("c.*")) == shards
        for name in shards:
            assert (root / "theirs" / name).read_bytes() == (root / "ours" / name).read_bytes()
        (root / "theirs").rename(root / "moved")
        (root / "ours").rename(root / "theirs")
        (root / "moved").rename(root / "ours")
        np.testing.assert_array_equal(ours[:], items)


def test_a_black_image_exists_as_a_chunk(tmp_path: Path) -> None:
    """An image of zeros is stored, so that a missing one cannot be taken for it."""
    items = np.zeros((3, 2, 2, 1), np.uint8)
    write(tmp_path, items, 3)
    assert missing_items(tmp_path / "c.0.0.0.0", 3, 3) == []
    assert (tmp_path / "c.0.0.0.0").stat().st_size == 3 * (4 + 4) + 3 * 16 + 4


def test_a_buffer_leaves_nothing_of_an_earlier_shard(tmp_path: Path) -> None:
    """A last shard with fewer items is the same from a fresh buffer and from a used one."""
    spec = ItemSpec("uint8", (5,))
    used, fresh = ShardBuffer(spec, 4), ShardBuffer(spec, 4)
    used.items(4)[:] = 255
    used.finish(4)
    for buffer in (used, fresh):
        buffer.items(2)[:] = 7
    assert bytes(used.finish(2)) == bytes(fresh.finish(2))


@pytest.fixture
def sharded(tmp_path: Path) -> tuple[ShardedArray, NDArray[Any]]:
    """Return our reader of ten items in shards of four, and the same in memory."""
    items = np.arange(10 * 6, dtype=np.int32).reshape(10, 2, 3)
    return write(tmp_path, items, 4), items


indices = st.one_of(
    st.integers(-10, 9),
    st.slices(10),
    st.slices(14),
    st.lists(st.integers(-10, 9)),
    st.lists(st.integers(-10, 9)).map(lambda rows: np.array(rows, np.int16)),
    st.permutations(range(10)).map(np.array),  # as long as a mask
    st.lists(st.booleans(), min_size=10, max_size=10).map(np.array),
    st.integers(0, 9).map(np.uint8),
    st.just(...),
)


def test_files_are_looked_at_before_anything_is_read(
    sharded: tuple[ShardedArray, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the rows that are asked for, and no others."""
    array, items = sharded
    os.truncate(tmp_path / "c.0.0.0", 20)
    np.testing.assert_array_equal(array[4:10], items[4:10])
    np.testing.assert_array_equal(array[5:8], items[5:8])
    os.truncate(tmp_path / "c.2.0.0", 20)
    fresh = ShardedArray(tmp_path, ItemSpec("int32", (2, 3)), (4, 4, 2))
    monkeypatch.setattr(ShardedArray, "read_into", lambda *_: pytest.fail("was read"))
    with pytest.raises(VerificationError):
        fresh[5:10]


@given(key=indices)
def test_indexing_is_like_numpy(key: Any, shared: tuple[ShardedArray, NDArray[Any]]) -> None:
    """Integers, slices with any step, lists, integer arrays and masks give what NumPy gives."""
    ours, items = shared
    expected = items[key if not isinstance(key, list) else np.array(key, int)]
    got = ours[key]
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected, strict=True)
    if got.size:
        got[...] = -1  # a copy: what is on disk stays
        np.testing.assert_array_equal(ours[:], items)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardedArray, NDArray[Any]]:
    """Return one reader for all examples."""
    items = np.arange(10 * 6, dtype=np.int32).reshape(10, 2, 3)
    return write(tmp_path_factory.mktemp("shared"), items, 4), items


@pytest.mark.parametrize(
    "key",
    [
        10,
        -11,
        [0, 10],
        (0, 1),
        (0, slice(None)),
        [0.5],
        np.zeros(9, bool),
        np.zeros(11, bool),
        np.zeros((2, 2), int),
        "name",
        None,
    ],
    ids=repr,
)
def test_what_is_no_index_of_items_is_refused(
    key: Any, sharded: tuple[ShardedArray, NDArray[Any]]
) -> None:
    """Rows out of range, masks of another length, fractions and further axes are errors."""
    with pytest.raises(IndexError):
        sharded[0][key]


@given(start=st.integers(0, 10), stop=st.integers(0, 10))
def test_rows_are_a_read_only_view_within_a_shard(
    start: int, stop: int, shared: tuple[ShardedArray, NDArray[Any]]
) -> None:
    """`rows` gives the same items, without copying where they lie in one shard."""
    ours, items = shared
    got = ours.rows(start, stop)
    np.testing.assert_array_equal(got, items[start:stop], strict=True)
    if start < stop and start // 4 == (stop - 1) // 4:
        assert not got.flags.writeable
        assert not got.flags.owndata


def test_an_array_is_iterated_and_converted(sharded: tuple[ShardedArray, NDArray[Any]]) -> None:
    """Iteration and NumPy's conversion give the items."""
    ours, items = sharded
    assert len(ours) == len(list(ours)) == 10
    np.testing.assert_array_equal(np.stack(list(ours)), items)
    np.testing.assert_array_equal(np.asarray(ours), items)
    assert np.asarray(ours, np.float64).dtype == np.float64


def test_a_reader_travels_to_other_processes(sharded: tuple[ShardedArray, NDArray[Any]]) -> None:
    """A pickled reader carries no data and reads the same."""
    ours, items = sharded
    ours[:]
    data = pickle.dumps(ours)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)[:], items)


@pytest.mark.parametrize("change", [-1, -30, 1, None])
def test_a_shard_of_another_size_is_refused_before_it_is_mapped(
    change: int | None, sharded: tuple[ShardedArray, NDArray[Any]], tmp_path: Path
) -> None:
    """A map of a truncated file would kill the process; other shards stay readable."""
    ours, items = sharded
    path = tmp_path / "c.1.0.0"
    if change is None:
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + change)
    with pytest.raises(VerificationError, match=r"c\.1\.0\.0.*pipeline verify"):
        ours[4]
    np.testing.assert_array_equal(ours[3], items[3])


def test_missing_items_are_those_that_a_valid_index_calls_absent(tmp_path: Path) -> None:
    """zarr-python, told not to write empty chunks, leaves out black items: these are named."""
    items = np.ones((5, 2, 2), np.uint8)
    items[[1, 4]] = 0
    array = zarr.create_array(
        tmp_path,
        shape=items.shape,
        dtype=items.dtype,
        chunks=(1, 2, 2),
        shards=(5, 2, 2),
        filters=None,
        compressors=zarr.codecs.Crc32cCodec(),
        chunk_key_encoding={"name": "default", "separator": "."},
        config={"write_empty_chunks": False},
    )
    array[:] = items
    assert missing_items(tmp_path / "c.0.0.0", 5, 5) == [1, 4]
    os.truncate(tmp_path / "c.0.0.0", (tmp_path / "c.0.0.0").stat().st_size - 1)
    assert missing_items(tmp_path / "c.0.0.0", 5, 5) == []


@pytest.mark.parametrize(
    ("item_bytes", "rows", "expected"),
    [
        (100, 7, 7),
        (TARGET_BYTES, 7, 1),
        (2 * TARGET_BYTES, 7, 1),
        (TARGET_BYTES // 3, 7, 3),
        (0, 7, 7),
    ],
)
def test_rows_per_shard_follow_from_sizes_alone(item_bytes: int, rows: int, expected: int) -> None:
    """As many items as fit the target, at least one, at most all."""
    assert rows_per_shard(item_bytes, rows) == expected


@given(data=st.data())
def test_reading_into_memory_is_like_slicing(
    shared: tuple[ShardedArray, NDArray[Any]], data: st.DataObject
) -> None:
    """Any run of items, within a shard or across several, is read to its place."""
    array, items = shared
    start = data.draw(st.integers(0, len(items)))
    stop = data.draw(st.integers(start, len(items)))
    into = np.full((stop - start, *items.shape[1:]), 77, items.dtype)
    array.read_into(start, into)
    assert np.array_equal(into, items[start:stop])
