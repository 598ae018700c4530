"""Arrays of items of mixed size: written whole, read back equal, by zarr-python too."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import threading
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline import disk, mixed
from pipeline.artifact import MANIFEST, Artifact, Manifest
from pipeline.documents import seal_document
from pipeline.errors import DataError, UsageError, VerificationError
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.stream import Stream
from pipeline.tables import column
from pipeline.unit import Node, Unit, UnitWriter
from pipeline.verify import verify
from tests.pipeline.toy import Toy, build, piece_of

Items = list[NDArray[Any]]


@st.composite
def lists_of_items(draw: st.DrawFn) -> tuple[Items, int]:
    """Draw items of mixed size, empty ones among them, and the rows of a shard."""
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16"])))
    shapes = st.just((0, 0, 0)) | st.tuples(*[st.integers(0, 5)] * 3)
    items = draw(st.lists(shapes.flatmap(lambda shape: hnp.arrays(dtype, shape)), min_size=1))
    return items, draw(st.integers(1, len(items)))


@dataclass
class Given:
    """Writes items that a test gives."""

    items: Sequence[NDArray[Any]]
    dtype: str = "uint8"
    parallel: bool = True

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the items of the unit's rows, those that there are."""
        items = writer.mixed("items", self.dtype)
        for item in self.items[unit.start : unit.stop]:
            items.append(item)
        ids = [f"row {row}" for row in range(unit.start, unit.stop)]
        schema = pa.schema([column("id", pa.string(), "", "id")])
        writer.table(pa.table([ids], schema=schema))


def written(
    root: Path, items: Sequence[NDArray[Any]], slots: int, rows: int | None = None, **options: Any
) -> Artifact:
    """Return the artifact of `items`, built in a store at `root`."""
    stage = Given(items, items[0].dtype.name if items else "uint8")
    rows = len(items) if rows is None else rows
    node = Node(Recipe("given", "items", 1, {}), stage, rows, 10, slots)
    build(root, [node], **options).raise_failures()
    return Store(root).artifact(node.recipe)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists_of_items())
def test_items_read_back_and_zarr_reads_the_same(
    without_fsync: None, drawn: tuple[Items, int]
) -> None:
    """Our reader gives the items, and plain `zarr.open` the same elements shard by shard."""
    items, slots = drawn
    with tempfile.TemporaryDirectory() as folder:
        artifact = written(Path(folder), items, slots)
        ours = artifact.mixed("items")
        assert len(ours) == len(items)
        for mine, item in zip(ours, items, strict=True):
            assert mine.dtype == item.dtype
            np.testing.assert_array_equal(mine, item, strict=True)
        np.testing.assert_array_equal(ours.shapes, [item.shape for item in items])
        group = zarr.open(artifact.manifest.folder / "items", mode="r")
        assert isinstance(group, zarr.Group)
        index = artifact.index()
        names = [f"{shard:05d}" for shard in range(-(-len(items) // slots))]
        assert sorted(name for name, _ in group.members()) == names
        for shard, name in enumerate(names):
            flat, part = group[name], items[shard * slots : (shard + 1) * slots]
            assert flat.dtype == items[0].dtype
            assert flat.metadata.dimension_names == ("element",)
            np.testing.assert_array_equal(flat[:], np.concatenate([i.ravel() for i in part]))
            for row, item in enumerate(part, shard * slots):
                start = index["items_offset"][row].as_py()
                np.testing.assert_array_equal(flat[start : start + item.size], item.ravel())
        assert verify(Store(Path(folder))) == []


def test_zarr_writes_the_same_chunk(tmp_path: Path) -> None:
    """A shard that zarr-python writes with the same codecs has the same bytes."""
    items = some_items()
    artifact = written(tmp_path / "store", items, len(items))
    flat = np.concatenate([item.ravel() for item in items])
    theirs = zarr.create_array(
        tmp_path / "theirs",
        shape=flat.shape,
        dtype=flat.dtype,
        chunks=flat.shape,
        filters=None,
        compressors=zarr.codecs.Crc32cCodec(),
        fill_value=0,
    )
    theirs[:] = flat
    ours = artifact.manifest.folder / "items" / "00000" / "c" / "0"
    assert (tmp_path / "theirs" / "c" / "0").read_bytes() == ours.read_bytes()


def some_items(count: int = 7) -> Items:
    """Return items of mixed size, the last one empty."""
    items = [
        Stream.of("items", row).below(256, 6 * row + 6).astype(np.uint8).reshape(row + 1, 2, 3)
        for row in range(count - 1)
    ]
    return [*items, np.empty((0, 0, 0), np.uint8)]


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_the_content_digest_does_not_depend_on_the_shards(slots: int, tmp_path: Path) -> None:
    """Where an item lies is no content; what it holds and its shape are."""
    items = some_items()
    expected = written(tmp_path / "whole", items, 7).manifest.content_digest
    assert written(tmp_path / "cut", items, slots).manifest.content_digest == expected
    turned = [*items[:-2], items[-2].reshape(2, 6, 3), items[-1]]
    assert written(tmp_path / "turned", turned, slots).manifest.content_digest != expected
    wider = [item.astype(np.uint16) for item in items]
    assert written(tmp_path / "wider", wider, slots).manifest.content_digest != expected


def test_items_are_chosen_like_the_rows_of_an_array(tmp_path: Path) -> None:
    """Integers, slices, lists, integer arrays and masks mean what they mean to NumPy."""
    items = some_items()
    array = written(tmp_path, items, 3).mixed("items")
    places = np.arange(7)
    for key in (slice(2, 6), slice(None, None, -2), [5, 0, -1], places[2:4], places > 4):
        for item, row in zip(array[key], places[key], strict=True):
            np.testing.assert_array_equal(item, items[row], strict=True)
    assert array[[]] == []
    np.testing.assert_array_equal(array[np.int64(-3)], items[-3])
    assert array[2].flags.writeable
    for wrong in (7, -8):
        with pytest.raises(IndexError, match="of an array with 7"):
            array[wrong]
    for odd in ((0, 1), [0.5], "0"):
        with pytest.raises(IndexError):
            array[odd]  # type: ignore[call-overload]


def test_a_reader_can_be_pickled_and_shared_by_threads(tmp_path: Path) -> None:
    """Loaders send readers to their workers, before or after the first read."""
    items = some_items()
    array = written(tmp_path, items, 2).mixed("items")
    fresh = len(pickle.dumps(array))
    assert [item.shape for item in pickle.loads(pickle.dumps(array))] == [i.shape for i in items]
    list(array)
    assert len(pickle.dumps(array)) == fresh
    wrong: list[int] = []

    def read() -> None:
        turns = [*range(7)] * 20
        wrong.extend(row for row in turns if not np.array_equal(array[row], items[row]))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_equal_and_mixed_arrays_are_told_apart(built: Path) -> None:
    """Asking for one kind of array as the other says which it is; an unknown one lists both."""
    artifact = Store(built).artifact(Toy().numbers().recipe)
    with pytest.raises(UsageError, match=r"pieces of numbers.* mixed size: .*Artifact\.mixed"):
        artifact.array("pieces")
    with pytest.raises(UsageError, match=r"pixels of numbers.* one size: .*Artifact\.array"):
        artifact.mixed("pixels")
    for ask in (artifact.array, artifact.mixed):
        with pytest.raises(UsageError, match="no array 'masks'; it has: floats, pixels, pieces"):
            ask("masks")


def test_the_toy_holds_what_it_wrote(built: Path) -> None:
    """The items that killed, concurrent and repeated builds agree on are the right ones."""
    node = Toy().numbers()
    for row, item in enumerate(Store(built).artifact(node.recipe).mixed("pieces")):
        stream = Stream.of("toy", dict(node.recipe.parameters), row)
        np.testing.assert_array_equal(item, piece_of(stream, row), strict=True)


@pytest.mark.parametrize(
    "item", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 1), np.int16), np.zeros(4, np.uint8)]
)
def test_an_item_of_another_kind_is_refused(item: NDArray[Any], tmp_path: Path) -> None:
    """Items have three axes and the dtype of their array."""
    with pytest.raises(DataError, match=r"takes items of shape \(H, W, C\) and dtype uint8"):
        mixed.MixedItems("images", "uint8").append(item)


@pytest.mark.parametrize("rows", [6, 8])
def test_fewer_items_than_rows_are_refused(rows: int, tmp_path: Path) -> None:
    """There is one item for each row, so that no row takes its neighbour's."""
    items = some_items()[: rows - 1]
    with pytest.raises(DataError, match=rf"array items has {rows - 1} items for {rows} rows"):
        written(tmp_path, items, rows, rows)
    assert list(Store(tmp_path).manifests()) == []


def test_a_shard_grows_beyond_what_was_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is taken as items come, whatever was reserved at first."""
    monkeypatch.setattr(mixed, "TARGET_BYTES", 16)
    items = some_items(20)
    array = written(tmp_path, items, 20).mixed("items")
    for mine, item in zip(array, items, strict=True):
        np.testing.assert_array_equal(mine, item)


def test_a_shard_is_written_by_one_call_of_the_disk(tmp_path: Path) -> None:
    """A shard goes to disk whole, from aligned memory, once."""
    pieces: list[tuple[int, int]] = []

    class Watching(disk.Disk):
        def write(self, path: Path, given: Any) -> tuple[int, str]:
            given = list(given)
            if path.name == "content.part":
                pieces.append((len(given), disk._address(memoryview(given[0]))))
            return super().write(path, given)

    written(tmp_path, some_items(), 7, disk=Watching())
    (count, address), *_ = pieces
    assert count == 1
    assert address % disk.BLOCK == 0


def test_damaged_items_are_named(tmp_path: Path) -> None:
    """A changed byte names its item, a cut all items behind it, by their rows."""
    root = tmp_path / "store"
    folder = written(root, some_items(), 4).manifest.folder
    path = folder / "items" / "00001" / "c" / "0"
    content = path.read_bytes()
    changed = bytearray(content)
    changed[30 + 6] ^= 8  # row 4 has 30 bytes
    path.write_bytes(changed)
    (problem,) = verify(Store(root))
    assert (problem.kind, problem.file) == ("changed", path.relative_to(root).as_posix())
    assert problem.detail.endswith("; of its items 5 are damaged")
    path.write_bytes(content[:20])
    (problem,) = verify(Store(root))
    assert problem.kind == "truncated"
    assert problem.detail.endswith("; of its items 4, 5 are damaged")
    changed = bytearray(content)
    changed[-1] ^= 1  # the checksum alone
    path.write_bytes(changed)
    (problem,) = verify(Store(root))
    assert (problem.kind, "damaged" in problem.detail) == ("changed", False)
    with pytest.raises(ValueError, match="checksum"):
        zarr.open(folder / "items" / "00001", mode="r")[:]


@pytest.mark.parametrize("damage", ["cut", "longer", "gone"])
def test_a_chunk_of_another_size_is_not_read(damage: str, tmp_path: Path) -> None:
    """The size is checked before anything is read, and the error says what to do."""
    artifact = written(tmp_path, some_items(), 7)
    path = artifact.manifest.folder / "items" / "00000" / "c" / "0"
    array = artifact.mixed("items")
    assert array[0].shape == (1, 2, 3)
    if damage == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + (1 if damage == "longer" else -1))
    with pytest.raises(VerificationError, match="run `pipeline verify`"):
        array[0]
    assert array[6].shape == (0, 0, 0)


def test_items_that_were_exchanged_are_found(tmp_path: Path) -> None:
    """Items that do not belong to their rows are found even if the manifest was made to fit."""
    items = [np.full((2, 2, 1), row, np.uint8) for row in range(4)]
    root = tmp_path / "store"
    folder = written(root, items, 2).manifest.folder
    manifest = Manifest.read(folder)
    name, other = "items/00000/c/0", "items/00001/c/0"
    first, second = (shard["files"] for shard in manifest.document["shards"])
    first[name], second[other] = second[other], first[name]
    (folder / MANIFEST).write_bytes(seal_document(manifest.document))
    shutil.move(folder / name, folder / "kept")
    shutil.move(folder / other, folder / name)
    shutil.move(folder / "kept", folder / other)
    problems = verify(Store(root))
    assert {problem.kind for problem in problems} == {"content"}
    assert len(problems) == 4


def test_offsets_that_are_not_theirs_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets are no part of the content digest, so verify compares them with the shapes."""
    real = mixed.bounds
    with monkeypatch.context() as patched:
        patched.setattr(mixed, "bounds", lambda shapes: real(shapes) + 1)
        written(tmp_path, some_items(), 4)
    problems = verify(Store(tmp_path))
    assert {problem.kind for problem in problems} == {"content"}
    assert "wrong offsets of items 0, 1, 2, 3" in problems[0].detail


def test_reading_takes_the_memory_of_one_item(tmp_path: Path) -> None:
    """However large a shard is, a read allocates the item and keeps nothing."""
    items = [np.full((200, 300, 3), row, np.uint8) for row in range(20)]
    array = written(tmp_path, items, 20).mixed("items")
    array[0]
    tracemalloc.start()
    for row in range(20):
        assert array[row][0, 0, 0] == row
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * items[0].nbytes


def test_columns_of_shapes_have_units(tmp_path: Path) -> None:
    """Every column that the engine adds says its unit and meaning."""
    index = written(tmp_path, some_items(), 7).index()
    units = {field.name: field.metadata[b"unit"].decode() for field in index.schema}
    assert units == {
        "id": "",
        "items_offset": "1",
        "items_height": "pixel",
        "items_width": "pixel",
        "items_channels": "1",
        "items_blake3": "",
    }
