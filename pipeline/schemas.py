"""Versions of what is written: which this program writes, and which it still reads.

A version is raised when an older program could no longer read what is written, or would read it
wrongly. The one before is read for as long as stores of it may be about; what it lacks is told
beside its name.
"""

from __future__ import annotations

from typing import Final

ARTIFACT: Final = "medshards/artifact/1"
"""``manifest.json`` of a sealed artifact."""

RECORD: Final = "medshards/shard/2"
"""Record of a published shard. Version 1 lacks ``totals`` and ``largest``."""

TABLE: Final = "medshards/table/1"
"""Parquet tables, in the metadata of the file; those before it say no version."""

PINS: Final = "medshards/pins/1"
"""``sources.toml``; those before it say no version."""

LOG: Final = "medshards/log/1"
"""Lines of a run's log."""

READABLE: Final = {RECORD: frozenset({RECORD, "medshards/shard/1"})}
"""What is read beside the version that is written, where that is any."""


def is_readable(found: object, written: str) -> bool:
    """Tell whether this program reads a document of schema `found` where it writes `written`."""
    return found in READABLE.get(written, frozenset({written}))
