"""The raw files of a dataset as one tree of paths, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DataError
from stages.download.inventory import files_below
from stages.download.segmenting.patterns import without_litter


class Tree:
    """Files below one or several roots, as if all lay in one folder.

    Hidden files and what systems and archivers leave behind are not seen.

    Raises
    ------
    DataError
        When a root is missing, holds a link to a folder, or two roots hold a file of one path.
    """

    def __init__(self, *roots: Path) -> None:
        self.roots = roots
        self._places: dict[str, Path] = {}
        for root in roots:
            for path in without_litter(files_below(root)):
                if path in self._places:
                    message = f"{path} is in two of the dataset's sources"
                    raise DataError(message)
                self._places[path] = root / path
        self.paths: Sequence[str] = tuple(sorted(self._places))
        """All paths below the roots, with slashes, sorted."""

    def at(self, path: str) -> Path:
        """Return where the file of a path lies.

        Raises
        ------
        DataError
            When there is none.
        """
        if path not in self._places:
            message = f"there is no {path} among the files of the dataset"
            raise DataError(message)
        return self._places[path]

    def portable(self, message: str) -> str:
        """Return a message with paths below the roots: the same wherever the files lie."""
        for root in self.roots:
            message = message.replace(f"{root}/", "")
        return message
