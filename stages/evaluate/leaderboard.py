"""A folder that the results of several runs are added to, to be compared later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import UsageError
from pipeline.files import write_whole
from stages.evaluate.columns import RESULT_COLUMNS, SUMMARY_COLUMNS, Column, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

RESULTS: Final = "results.parquet"
"""Every result row of every run."""
LEADERBOARD: Final = "leaderboard.json"
"""Every aggregate of every run."""
SCHEMA: Final = "medshards/leaderboard/1"
_LOCK: Final = ".lock"
_RUN = (
    Column("run", "text", "", "name under which the rows were added"),
    Column("content_digest", "text", "", "content digest of the artifact that the row is from"),
)
_COLUMNS = (*_RUN, *RESULT_COLUMNS)


def add(
    folder: Path,
    run: str,
    results: Sequence[Mapping[str, Any]],
    summary: Sequence[Mapping[str, Any]],
) -> None:
    """Add the rows of a run; rows that it added earlier are replaced.

    Several processes may add at once. Both files are replaced whole, so that a reader sees the
    rows from before or those from after.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    run : str
        Name of the run.
    results, summary : sequence of mappings
        Rows with the columns of results and of the summary, and `content_digest`.

    Raises
    ------
    UsageError
        If the folder holds a leaderboard of another schema.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / _LOCK):
        kept = [row for row in read_results(folder) if row["run"] != run]
        kept += [{**row, "run": run} for row in results]
        aggregates = [row for row in read_summary(folder) if row["run"] != run]
        names = [column.name for column in (*_RUN, *SUMMARY_COLUMNS)]
        aggregates += [{name: {**row, "run": run}.get(name) for name in names} for row in summary]
        document = {"schema": SCHEMA, "rows": aggregates}
        board = (json.dumps(document, indent=1) + "\n").encode()
        write_whole({folder / RESULTS: _encoded(kept), folder / LEADERBOARD: board})


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Return every result row of every run; none of a folder that holds no leaderboard.

    Raises
    ------
    UsageError
        If the file there is of another schema.
    """
    path = folder / RESULTS
    if not path.exists():
        return []
    from pyarrow import ArrowInvalid

    from pipeline.tables import read_table

    try:
        table = read_table(path)
    except ArrowInvalid as error:
        message = f"{path} is no Parquet file: {error}"
        raise UsageError(message) from error
    _require_schema(path, table)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_summary(folder: Path) -> list[dict[str, Any]]:
    """Return every aggregate of every run; none of a folder that holds no leaderboard.

    Raises
    ------
    UsageError
        If the file there is of another schema.
    """
    path = folder / LEADERBOARD
    if not path.exists():
        return []
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema = document["schema"]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is no leaderboard"
        raise UsageError(message) from error
    if schema != SCHEMA:
        message = f"{path} has schema {schema!r}; this version reads {SCHEMA!r}"
        raise UsageError(message)
    rows: list[dict[str, Any]] = document["rows"]
    return rows


def _require_schema(path: Path, table: pa.Table) -> None:
    expected = arrow_schema(_COLUMNS)
    if table.schema.equals(expected):
        return
    theirs, ours = set(table.column_names), set(expected.names)
    lacking = ", ".join(sorted(ours - theirs)) or "none"
    more = ", ".join(sorted(theirs - ours)) or "none"
    message = (
        f"{path} has another schema than this version's results (columns it lacks: {lacking}; "
        f"columns unknown here: {more}); name another folder"
    )
    raise UsageError(message)


def _encoded(rows: Sequence[Mapping[str, Any]]) -> memoryview:
    import pyarrow as pa

    from pipeline.tables import encode_table

    schema = arrow_schema(_COLUMNS)
    ordered = [{name: row.get(name) for name in schema.names} for row in rows]
    return encode_table(pa.Table.from_pylist(ordered, schema=schema))
