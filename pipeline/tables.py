"""Parquet tables whose every column states a unit and a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import blake3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.digest import Json, digest_json
from pipeline.shards import ItemSpec

DIGEST_TYPE = pa.binary(32)
"""Arrow type of a blake3 column."""


def column(name: str, kind: pa.DataType, unit: str, meaning: str) -> pa.Field:
    """Return a column that states its `unit` ("1" for a pure number, "" for text) and meaning."""
    return pa.field(name, kind, metadata={"unit": unit, "meaning": meaning})


def digest_column_name(array: str) -> str:
    """Return the name of the index column that holds the digests of an array's items."""
    return f"{array}_blake3"


def offset_column_name(array: str) -> str:
    """Return the name of the index column that holds where items of mixed size lie in a shard."""
    return f"{array}_offset"


def encode_table(table: pa.Table) -> memoryview:
    """Return `table` as Parquet bytes, the same for the same table and pyarrow version."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    return memoryview(sink.getvalue())


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return a Parquet file as a table; the file is read, never mapped."""
    # A file object of Python's would be read by Arrow's threads, which then abort the process
    # when they need the interpreter while it ends.
    with pa.OSFile(str(path)) as file:
        return pq.read_table(file, columns=columns)


def content_digest(
    table: pa.Table, arrays: Mapping[str, ItemSpec], mixed: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the digest of an artifact's logical content.

    It covers the item types of the arrays and every value of the index in canonical form, the
    items' own digests and shapes among them; it does not change with shard size, codec or library
    version. So where an item of an array of `mixed` size lies in its shard is not part of it.
    """
    table = table.drop_columns([offset_column_name(name) for name in mixed])
    columns = [
        [name, _type_name(table.schema.field(name).type), _digest_values(table[name])]
        for name in sorted(table.column_names)
    ]
    specs: dict[str, Json] = {name: [s.dtype, list(s.shape)] for name, s in arrays.items()}
    specs |= {name: [dtype, None] for name, dtype in mixed.items()}
    return digest_json({"rows": table.num_rows, "arrays": specs, "columns": columns})


def _type_name(kind: pa.DataType) -> str:
    """Return the name of a type; Arrow's own for lists changes on the way through Parquet."""
    if pa.types.is_fixed_size_list(kind):
        return f"list<{_type_name(kind.value_type)}>[{kind.list_size}]"
    return f"list<{_type_name(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)


def _digest_values(values: pa.ChunkedArray) -> str:
    hasher = blake3.blake3()
    _update(hasher, values.combine_chunks() if values.num_chunks != 1 else values.chunk(0))
    return hasher.hexdigest()


def _update(hasher: blake3.blake3, values: pa.Array) -> None:
    """Feed values in canonical form: validity, then lengths where they vary, then raw values."""
    kind = values.type
    hasher.update(np.asarray(values.is_valid(), np.uint8).data)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.fill_null(pc.list_value_length(values), 0)
        hasher.update(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        _update(hasher, values.flatten())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        lengths = pc.fill_null(pc.binary_length(values), 0)
        hasher.update(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        for value in values:
            hasher.update(value.as_buffer() if value.is_valid else b"")
    elif pa.types.is_fixed_size_binary(kind):
        for value in values:
            hasher.update(value.as_py() or b"")
    elif pa.types.is_boolean(kind):
        hasher.update(np.asarray(pc.fill_null(values, False), np.uint8).tobytes())
    elif pa.types.is_integer(kind):
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        plain = "<u8" if pa.types.is_unsigned_integer(kind) else "<i8"
        hasher.update(numbers.astype(plain).tobytes())
    elif pa.types.is_floating(kind):
        numbers = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)
        hasher.update(numbers.astype("<f8").tobytes())
    else:
        message = f"no canonical form for a column of type {kind}"
        raise TypeError(message)
