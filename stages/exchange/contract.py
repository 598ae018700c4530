"""What a format is: pieces of work that each write some files of an export."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from stages.exchange.exported_set import ExportedSet

PIECE_BYTES = 256 << 20
"""About what one piece holds of images, where a format can cut a set anywhere."""


@dataclass(frozen=True)
class Piece:
    """Part of an export that is written by one worker and kept if the rest is interrupted."""

    label: str
    rows: int
    nbytes: int
    """Bytes it will have about, before any compression."""
    write: Callable[[Path], Iterable[Path]]
    """Writes below the given folder and returns the files; those that are there are replaced."""


@dataclass(frozen=True)
class Format:
    """A form of another tool."""

    title: str
    """One line that says which tool loads it."""
    pieces: Callable[[Sequence[ExportedSet]], Sequence[Piece]]
    """Returns what is to be written; raises UsageError for a set that the form has no place for."""
    loading: str
    """Python, or a command, that loads it, with DIR for the folder."""
    header: Callable[[Sequence[ExportedSet]], str] = lambda _: ""
    """Returns what README.md begins with."""


def ranges(of: ExportedSet, most: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of rows whose images are about `PIECE_BYTES`, at most `most` rows."""
    rows = max(1, PIECE_BYTES * len(of) // max(1, of.nbytes))
    rows = min(rows, most or rows)
    for start in range(0, len(of), rows):
        yield start, min(len(of), start + rows)


def require_labels(sets: Iterable[ExportedSet], form: str) -> None:
    """Refuse sets with masks."""
    for one in sets:
        if one.has_masks or one.is_mixed:
            message = (
                f"{one.name} has masks and images of mixed size, for which {form} has no place: "
                "use png or huggingface"
            )
            raise UsageError(message)


def require_one_suite(sets: Iterable[ExportedSet], form: str) -> None:
    """Refuse sets of several suites, whose files would have the same names."""
    suites = sorted({one.suite for one in sets if not one.is_clean})
    if len(suites) > 1:
        message = (
            f"{form} has no place for the suite: export {' and '.join(suites)} "
            "to folders of their own"
        )
        raise UsageError(message)


def require_different(
    sets: Iterable[ExportedSet], path: Callable[[ExportedSet], str], form: str
) -> None:
    """Refuse sets that would have the same file, such as those of two sizes of a dataset."""
    seen: dict[str, ExportedSet] = {}
    for one in sets:
        other = seen.setdefault(path(one), one)
        if other is not one:
            message = f"{other.name} and {one.name} are both {path(one)} in {form}: "
            raise UsageError(message + "export them to folders of their own")
