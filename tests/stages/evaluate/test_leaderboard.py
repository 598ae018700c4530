"""The leaderboard that several runs add to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from stages.evaluate.leaderboard import LEADERBOARD, RESULTS, add, read_results, read_summary


def rows(value: float, count: int = 2) -> list[dict[str, object]]:
    """Return rows of one system."""
    common = {"suite": "s", "dataset": "d", "split": "test", "encoder": "e", "protocol": "p"}
    return [
        {**common, "metric": f"m{n}", "value": value, "seed": 0, "content_digest": "ab"}
        for n in range(count)
    ]


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    """Rows of two runs are kept, and a run that is added again replaces its own."""
    add(tmp_path / "board", "first", rows(0.5), rows(0.5))
    add(tmp_path / "board", "second", rows(0.6), rows(0.6))
    add(tmp_path / "board", "first", rows(0.7, 1), rows(0.7, 1))
    for found in (read_results(tmp_path / "board"), read_summary(tmp_path / "board")):
        assert sorted((row["run"], row["value"]) for row in found) == [
            ("first", 0.7),
            ("second", 0.6),
            ("second", 0.6),
        ]


def test_columns_say_what_they_hold(tmp_path: Path) -> None:
    """Every column of the Parquet file has a unit and a meaning."""
    add(tmp_path, "first", rows(0.5), rows(0.5))
    for field in pq.read_schema(tmp_path / RESULTS):
        assert set(field.metadata) == {b"unit", b"meaning"}


def test_runs_added_at_once_are_all_kept(tmp_path: Path) -> None:
    """Eight runs added by eight threads are eight runs in the end."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add(tmp_path, f"run-{n}", rows(n / 8), rows(n / 8)), range(8)))
    assert {row["run"] for row in read_results(tmp_path)} == {f"run-{n}" for n in range(8)}
    assert {row["run"] for row in read_summary(tmp_path)} == {f"run-{n}" for n in range(8)}


def test_nothing_is_read_where_nothing_is(tmp_path: Path) -> None:
    """A folder without a leaderboard has no rows."""
    assert read_results(tmp_path) == []
    assert read_summary(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("name", "content", "phrase"),
    [
        (LEADERBOARD, b"{", "is no leaderboard"),
        (LEADERBOARD, b"[]", "is no leaderboard"),
        (LEADERBOARD, json.dumps({"schema": "other/1"}).encode(), "has schema 'other/1'"),
        (RESULTS, b"PAR1", "is no Parquet file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, phrase: str) -> None:
    """A file of another kind is one clear line, and stays as it is."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=phrase):
        add(tmp_path, "first", rows(0.5), rows(0.5))
    assert (tmp_path / name).read_bytes() == content


def test_results_of_another_schema_are_refused(tmp_path: Path) -> None:
    """The message names the columns that differ."""
    pq.write_table(pa.table({"run": ["a"], "score": [1.0]}), tmp_path / RESULTS)
    with pytest.raises(UsageError, match=r"lacks: .*value.*unknown here: score"):
        read_results(tmp_path)
