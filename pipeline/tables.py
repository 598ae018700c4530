"""Parquet tables whose every column states a unit and a meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import blake3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.digest import Json, digest_json
from pipeline.errors import StoreError, VerificationError
from pipeline.schemas import TABLE, is_readable
from pipeline.shards import ItemSpec

DIGEST_TYPE = pa.binary(32)
"""Arrow type of a blake3 column."""

LARGEST_RATIO = 1000
"""Most bytes or rows that a byte of a table's file may stand for; ours stay far below."""

_SMALL = 64 << 20
"""Bytes or rows that any file may stand for."""

_LARGE = 1 << 20
"""Bytes from which a file is read by several threads: a smaller one is read sooner by one."""

_THRIFT_STRING = 100_000_000
_THRIFT_CONTAINER = 1_000_000


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
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"schema": TABLE})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    return memoryview(sink.getvalue())


def read_table(path: Path, columns: list[str] | None = None, rows: int | None = None) -> pa.Table:
    """Return a Parquet file as a table; the file is read, never mapped.

    Parameters
    ----------
    rows
        How many it must have; default: as many as a file of its size can sensibly hold.

    Raises
    ------
    VerificationError
        If it has another number of rows, or says that it unpacks to far more than its size.
    """
    # A file object of Python's would be read by Arrow's threads, which then abort the process
    # when they need the interpreter while it ends.
    with pa.OSFile(str(path)) as source:
        size = source.size()
        limits = {
            "thrift_string_size_limit": max(1, min(size, _THRIFT_STRING)),
            "thrift_container_size_limit": max(1, min(size, _THRIFT_CONTAINER)),
        }
        file = pq.ParquetFile(source, **limits)
        _require_known(path, file)
        _require_plausible(path, file, size, rows)
        known = file.schema_arrow.names
        wanted = [c for c in columns if c in known] if columns else known
        _require_short_texts(path, file, size, wanted)
        return file.read(columns=columns, use_threads=size > _LARGE)


def _require_known(path: Path, file: pq.ParquetFile) -> None:
    """Refuse a table of a newer version; one that says none is of the version before the first."""
    stated = (file.metadata.metadata or {}).get(b"schema", TABLE.encode()).decode(errors="replace")
    if not is_readable(stated, TABLE):
        message = f"{path}: has schema {stated!r}, this version of medshards reads {TABLE!r}"
        raise StoreError(message)


def _require_plausible(path: Path, file: pq.ParquetFile, size: int, rows: int | None) -> None:
    """Refuse a file that says it holds more than it can, from its footer alone."""
    footer = file.metadata
    if rows is not None and footer.num_rows != rows:
        message = f"{path}: {footer.num_rows} rows instead of {rows}: run `pipeline verify`"
        raise VerificationError(message)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    unpacked = sum(
        group.column(number).total_uncompressed_size
        for group in groups
        for number in range(group.num_columns)
    )
    told = max(unpacked, sum(group.num_rows for group in groups), footer.num_rows)
    negative = any(group.num_rows < 0 for group in groups) or footer.num_rows < 0
    if negative or told > max(_SMALL, LARGEST_RATIO * size):
        message = f"{path}: refused: its {size} bytes say that they hold {told}"
        raise VerificationError(message)


def _require_short_texts(
    path: Path, file: pq.ParquetFile, size: int, columns: Sequence[str]
) -> None:
    """Refuse texts that fill memory by repetition: one long value named by every row.

    Where that is possible the column is read first as numbers into its distinct values, which takes
    no more memory than the file's own pages and four bytes a row.
    """
    allowed = max(_SMALL, LARGEST_RATIO * size)
    schema = file.schema_arrow
    for name in columns:
        kind = schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
            continue
        number = file.metadata.schema.names.index(name)
        groups = [file.metadata.row_group(g) for g in range(file.metadata.num_row_groups)]
        worst = sum(g.num_rows * g.column(number).total_uncompressed_size for g in groups)
        if worst <= allowed:
            continue
        with pa.OSFile(str(path)) as source:
            coded = pq.ParquetFile(source, read_dictionary=[name]).read(columns=[name])[name]
        total = sum(_decoded_bytes(chunk) for chunk in coded.chunks)
        if total > allowed:
            message = f"{path}: refused: {name} unpacks to {total} bytes from a file of {size}"
            raise VerificationError(message)


def _decoded_bytes(values: pa.Array) -> int:
    """Return the bytes of texts that are written out one by one."""
    if not pa.types.is_dictionary(values.type):
        return int(values.nbytes)
    lengths = pc.fill_null(pc.binary_length(values.dictionary), 0).to_numpy(zero_copy_only=False)
    counts = np.bincount(
        values.indices.drop_null().to_numpy(zero_copy_only=False), minlength=len(lengths)
    )
    return int(np.dot(counts.astype(np.int64), lengths.astype(np.int64)))


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


def joined_bytes(values: pa.Array | pa.ChunkedArray) -> bytes | memoryview:
    """Return the texts or binary values of a column, one after another; nulls have no bytes."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if values.null_count:
        values = values.drop_null()
    if not len(values):
        return b""
    if pa.types.is_fixed_size_binary(values.type):
        width, start = values.type.byte_width, values.offset
        return memoryview(values.buffers()[1])[start * width : (start + len(values)) * width]
    # 32-bit offsets of strings and binary; larger ones are not among our columns.
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    data = values.buffers()[2]
    return b"" if data is None else memoryview(data)[int(offsets[0]) : int(offsets[-1])]


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
        hasher.update(joined_bytes(values))
    elif pa.types.is_fixed_size_binary(kind):
        hasher.update(joined_bytes(values))
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
