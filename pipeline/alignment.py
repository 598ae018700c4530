"""The gate of artifacts that have one row for each row of an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.store import Store
    from pipeline.unit import Unit


def require_aligned(store: Store, unit: Unit, role: str, table: pa.Table) -> None:
    """Refuse an index whose rows are not those of an input, in its order.

    The input's index is read again, so that whatever the stage did with it is found.

    Parameters
    ----------
    role
        Of the input.
    table
        The index of the unit; its columns that the input has too must be equal, and there must be
        one at least.

    Raises
    ------
    DataError
        Naming the first row that differs.
    """
    source = store.artifact(unit.recipe.inputs[role])
    if len(source) != unit.node.rows:
        message = f"{len(source)} rows of {source.manifest.label} became {unit.node.rows} rows"
        raise DataError(message)
    expected = source.index(None, unit.start, unit.stop)
    if table.num_rows != expected.num_rows:
        message = (
            f"{table.num_rows} rows for rows {unit.start} to {unit.stop - 1} of "
            f"{source.manifest.label}"
        )
        raise DataError(message)
    shared = [name for name in table.column_names if name in expected.column_names]
    if not shared:
        message = f"the index says nothing that the index of {source.manifest.label} says"
        raise DataError(message)
    for name in shared:
        ours, theirs = table[name], expected[name]
        if ours.equals(theirs):
            continue
        pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
        for row, (mine, wanted) in enumerate(pairs, unit.start):
            if mine != wanted:
                message = (
                    f"row {row} is not that of {source.manifest.label}: its {name} is {mine!r} "
                    f"instead of {wanted!r}"
                )
                raise DataError(message)
