"""Options that many tests of commands give."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def at(source: Any, store: Path | None = None) -> tuple[object, ...]:
    """Return the options that name a study's manifests and its store, or another one."""
    return ("--store", store or source.folder / "store", "--manifests", source.manifests)
