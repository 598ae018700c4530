"""What people and programs see: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.files import write_whole

NAMED = 20
"""Most things of a kind that are named one by one."""
SYNTHETIC = "note: the phantom datasets are synthetic images, not taken from people"


def show_some(lines: Sequence[str], rest: str) -> None:
    """Print the first of many lines; `rest` says where all of them are."""
    for line in lines[:NAMED]:
        show(line)
    if len(lines) > NAMED:
        show(f"and {len(lines) - NAMED} more; {rest}")


def print_json(schema: str, content: dict[str, Any]) -> None:
    """Print one JSON document with its schema to stdout."""
    document = {"schema": f"medshards/{schema}/1", **content}
    # Piece by piece: the text of a long document takes several times the memory of what it says.
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Print a line of information to stderr."""
    sys.stderr.write(text + "\n")


def show(text: str) -> None:
    """Print a result to stdout."""
    sys.stdout.write(text + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in aligned columns to stdout, no cell ever cut short."""
    lines = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        show("  ".join(cells).rstrip())


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Tell in one line that a file outside the store, named by an option, cannot be written."""
    try:
        yield
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise PipelineError(message) from error


def write_files(named: Path, files: Mapping[Path, bytes | memoryview]) -> list[Path]:
    """Write files at, or below, a path named by an option, whole or not at all."""
    with written(named):
        return write_whole(files)


def size(nbytes: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if nbytes < 1000 or unit == "TB":
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    raise AssertionError
