"""Damage that tests do to files of a store."""

from __future__ import annotations

from pathlib import Path

import google_crc32c
import numpy as np

from pipeline.shards import CRC_BYTES, EMPTY_SLOT, SLOT_BYTES


def flip(path: Path, position: int | None = None) -> bytes:
    """Change a byte, the one in the middle if not told which; return what the file held."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2 if position is None else position] ^= 1
    path.write_bytes(changed)
    return content


def empty_slot(path: Path, *, item: int, items: int) -> None:
    """Mark an item as absent, as Zarr does, in the index at the end of a shard of `items`."""
    content = bytearray(path.read_bytes())
    start = len(content) - items * SLOT_BYTES - CRC_BYTES
    index = np.frombuffer(content, "<u8", items * 2, start).copy()
    index[2 * item : 2 * item + 2] = EMPTY_SLOT
    raw = index.tobytes()
    content[start:] = raw + np.array([google_crc32c.value(raw)], "<u4").tobytes()
    path.write_bytes(content)
