"""Reading a part of an artifact's index."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import tables
from pipeline.store import Store
from tests.pipeline.toy import NUMBERS_SLOTS, ROWS, Toy


@given(bounds=st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(sorted))
def test_a_part_of_the_index_is_a_slice_of_it(built: Path, bounds: list[int]) -> None:
    """Rows from one shard or several are those of the whole index."""
    start, stop = bounds
    artifact = Store(built).artifact(Toy().numbers().recipe)
    assert artifact.index(["id"], start, stop).equals(artifact.index(["id"])[start:stop])


def test_only_the_shards_of_these_rows_are_read(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory that a unit needs does not grow with the artifact."""
    read, seen = tables.read_table, []

    def watched(path: Path, columns: list[str] | None, rows: int) -> object:
        seen.append(path.name)
        return read(path, columns, rows)

    monkeypatch.setattr(tables, "read_table", watched)
    artifact = Store(built).artifact(Toy().numbers().recipe)
    artifact.index(None, NUMBERS_SLOTS, 2 * NUMBERS_SLOTS)
    assert seen == ["00001.parquet"]
