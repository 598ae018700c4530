"""Text files of datasets; what reading one raises becomes a `DataError` that names it."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import DataError


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Refuse a file that cannot be read inside as text or as CSV."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: cannot be read: {error}"
        raise DataError(message) from error


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[csv.DictReader[str]]:
    """Open a CSV file with a heading, UTF-8 with or without a mark at its beginning."""
    with readable(path), path.open(encoding="utf-8-sig", newline="") as file:
        yield csv.DictReader(file)


def read_text(path: Path) -> str:
    """Return the text of a file, UTF-8 with or without a mark at its beginning."""
    with readable(path):
        return path.read_text(encoding="utf-8-sig")
