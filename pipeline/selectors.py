"""Selectors: names with wildcards, part by part, such as ``medimeta-c/pbc/test/*/3``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Selector:
    """Matches a name whose first parts match; a shorter selector takes all that lies below."""

    text: str

    def matches(self, name: str) -> bool:
        """Tell whether `name` is selected; ``*``, ``?`` and ``[…]`` never cross a "/"."""
        wanted = self.text.strip("/").split("/")
        parts = name.split("/")
        return len(wanted) <= len(parts) and all(map(fnmatchcase, parts, wanted))


def selects(selectors: Sequence[str], name: str) -> bool:
    """Tell whether any of `selectors` matches `name`; no selectors select everything."""
    return not selectors or any(Selector(text).matches(name) for text in selectors)


def selects_artifact(selectors: Sequence[str], label: str) -> bool:
    """Tell whether `selects` is so of ``<stage>/<name>``, or of the name alone."""
    return selects(selectors, label) or selects(selectors, label.partition("/")[2])


def unmatched(selectors: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the selectors that match none of `names`."""
    return [text for text in selectors if not any(Selector(text).matches(n) for n in names)]


def unmatched_artifacts(selectors: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Return the selectors that match no ``<stage>/<name>`` of `labels` and no name alone."""
    return unmatched(selectors, [*labels, *(label.partition("/")[2] for label in labels)])
