"""Free-text reports that belong to images by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError
from stages.download.segmenting.patterns import Pattern
from stages.download.segmenting.tree import Tree

REPORT = "report"
"""Name of the report among the metadata of a sample."""


class Reports:
    """The text files of a tree that match a pattern; several images may share one.

    Parameters
    ----------
    pattern
        Whose names in braces are among those of the images.
    """

    def __init__(self, pattern: str, tree: Tree) -> None:
        self._tree = tree
        self._names = tuple(sorted(Pattern(pattern).names))
        self._found: dict[tuple[str, ...], list[str]] = {}
        for path in tree.paths:
            names = Pattern(pattern).match(path)
            if names is not None:
                self._found.setdefault(self._key(names), []).append(path)

    def of(self, names: Mapping[str, str]) -> str:
        """Return the report of the image with these names; empty: there is none.

        Raises
        ------
        DataError
            When several reports fit, or the file is no text.
        """
        if not set(self._names) <= names.keys():
            return ""
        paths = self._found.get(self._key(names), [])
        if len(paths) > 1:
            message = f"{len(paths)} reports of one image ({', '.join(paths)})"
            raise DataError(message)
        return _text(self._tree.at(paths[0])) if paths else ""

    def _key(self, names: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(names[name] for name in self._names)


def _text(path: Path) -> str:
    """Return a text of UTF-8, else Latin-1, with single spaces for all white space."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise DataError(message) from error
    if b"\0" in content:  # as in UTF-16, which Latin-1 would take for other letters
        message = f"{path}: is no text in UTF-8 or Latin-1"
        raise DataError(message)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return " ".join(text.split())
