"""Patterns of paths with named pieces, by which images and masks find each other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePosixPath

from pipeline.errors import UsageError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".bmp", ".gif"})
"""Suffixes of picture files, in lower case."""

_TOKEN = re.compile(r"\*\*/|\*|\{(\*\*)?([a-z][a-z0-9_]*)\}|[{}]")
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


class Pattern:
    """A path below a root in which pieces have names: `images/{stem}.jpg`.

    `{name}` matches at least one character of one path part, as few as possible from the left, and
    the same piece wherever the name comes again; `{**name}` may span parts. `*` matches anything
    within one part, `**/` any folders or none. Matching is done on Unicode's composed form (NFC).
    The suffix (what follows the last full stop) is matched in any case of letters; the suffix
    `.*` only matches those of `PICTURES`.

    Raises
    ------
    UsageError
        When a brace is left open or empty, or the path is absolute or leaves its root.
    """

    def __init__(self, text: str) -> None:
        self.text = unicodedata.normalize("NFC", text)
        path = PurePosixPath(self.text)
        if path.is_absolute() or ".." in path.parts or "\\" in self.text:
            message = f"the pattern {text!r} is not a path below a root, with slashes"
            raise UsageError(message)
        self._names: list[str] = []
        self._any_suffix = self.text.endswith(".*")
        body, dot, suffix = self.text.rpartition(".")
        if not dot or any(sign in suffix for sign in "/{}"):
            body, dot, suffix = self.text, "", ""
        tail = "" if not dot else rf"\.(?i:{'[^./]+' if suffix == '*' else self._regex(suffix)})"
        self._compiled = re.compile(self._regex(body) + tail)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in braces."""
        return frozenset(self._names)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the pieces of `path` by name in the order of the pattern; None if it differs."""
        composed = unicodedata.normalize("NFC", path)
        if self._any_suffix and PurePosixPath(composed).suffix.lower() not in PICTURES:
            return None
        found = self._compiled.fullmatch(composed)
        return None if found is None else {name: found[name] for name in self._names}

    def fill(self, names: Mapping[str, str]) -> str:
        """Return the path that the pattern stands for with these names; it has no `*`."""
        return _TOKEN.sub(lambda token: names[token[2]] if token[2] else token[0], self.text)

    def _regex(self, text: str) -> str:
        parts, end = [], 0
        for token in _TOKEN.finditer(text):
            parts += [re.escape(text[end : token.start()]), self._piece(token)]
            end = token.end()
        return "".join([*parts, re.escape(text[end:])])

    def _piece(self, token: re.Match[str]) -> str:
        if token[0] == "**/":
            return "(?:[^/]+/)*"
        if token[0] == "*":
            return "[^/]*"
        name = token[2]
        if name is None:
            message = f"the pattern {self.text!r} has a brace that holds no name"
            raise UsageError(message)
        if name in self._names:
            return f"(?P={name})"
        self._names.append(name)
        return f"(?P<{name}>{'.' if token[1] else '[^/]'}+?)"


def without_litter(paths: Iterable[str]) -> list[str]:
    """Return the paths but for hidden files and what systems and archivers leave behind."""
    return [
        path
        for path in paths
        if not any(part.startswith(".") or part in _LITTER for part in path.split("/"))
    ]
