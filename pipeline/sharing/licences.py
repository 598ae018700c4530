"""What the licences of the data that an artifact is made from let be passed on.

A dataset's artifact says by its attribute ``licence`` how much may be passed on; what is made from
it carries that attribute along, or leads to it by its inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.artifact import Manifest
from pipeline.errors import PipelineError
from pipeline.published import Published
from pipeline.sharing.holdings import inputs_of
from pipeline.store import Store

LEVELS = ("recipes", "embeddings", "derived", "pixels")
"""How much may be passed on, the least first; each takes in those before it."""

_ELSE = {
    "recipes": "push results instead; others build the rest from their own copy of the data",
    "embeddings": "push its embeddings and results instead",
    "derived": "push its corrupted sets, embeddings and results instead",
}


@dataclass(frozen=True, slots=True, order=True)
class Licensed:
    """The licence of one of the datasets that an artifact is made from."""

    dataset: str
    spdx: str
    redistribution: str
    share_alike: bool
    source: str = ""
    """Where the licence was read."""

    @property
    def document(self) -> dict[str, Any]:
        """As it is written to ``published.json``."""
        return asdict(self)


@dataclass(frozen=True)
class Kind:
    """What a stage's artifacts are as far as licences are concerned."""

    level: str
    """The level that they need."""
    words: str
    """What messages call them, in the plural."""


class Licences:
    """Finds the licences of a store's artifacts."""

    def __init__(self, store: Store, kinds: Mapping[str, Kind], other: Kind) -> None:
        self._store = store
        self._kinds = kinds
        self._other = other
        self._known: dict[str, frozenset[Licensed] | None] = {}
        self._consumers: dict[str, list[Manifest]] | None = None

    def of(self, manifest: Manifest) -> tuple[Licensed, ...] | None:
        """Return the licences of all data that an artifact is made from; None if not all known."""
        found = self._of(manifest)
        return None if found is None else tuple(sorted(found))

    def refusal(self, manifest: Manifest) -> str | None:
        """Return why an artifact may not be passed on, and what may be instead; None if it may."""
        kind = self._kinds.get(manifest.stage, self._other)
        if kind.level == LEVELS[0]:
            return None
        found = self.of(manifest)
        if found is None:
            return (
                f"{manifest.label}: its licence is not known, because what it was made from is not "
                "in this store: push from the store that it was built in"
            )
        for one in found:
            if LEVELS.index(one.redistribution) < LEVELS.index(kind.level):
                return (
                    f"{manifest.label}: the licence of {one.dataset} ({one.spdx}) does not let "
                    f"{kind.words} be passed on, no more than {one.redistribution}: "
                    f"{_ELSE[one.redistribution]}"
                )
        return None

    def _of(self, manifest: Manifest) -> frozenset[Licensed] | None:
        key = manifest.recipe_key
        if key not in self._known:
            self._known[key] = None  # what leads back to itself is unknown
            self._known[key] = self._found(manifest)
        return self._known[key]

    def _found(self, manifest: Manifest) -> frozenset[Licensed] | None:
        if "licence" in manifest.attributes:
            dataset = str(manifest.parameters.get("dataset", manifest.label))
            own = _read(dataset, manifest.attributes["licence"])
            return None if own is None else frozenset({own})
        if (written := self._published(manifest)) is not None:
            return written
        inputs = manifest.document["inputs"]
        if inputs:
            return _union(self._input(manifest, role) for role in inputs)
        if self._kinds.get(manifest.stage, self._other).level == LEVELS[-1]:
            # The data themselves: whoever reads them knows their licence.
            readers = self._readers().get(manifest.recipe_key, [])
            return _union(self._of(one) for one in readers) if readers else None
        return frozenset()

    def _input(self, manifest: Manifest, role: str) -> frozenset[Licensed] | None:
        try:
            return self._of(self._store.input_of(manifest, role).manifest)
        except PipelineError:
            return None

    def _published(self, manifest: Manifest) -> frozenset[Licensed] | None:
        try:
            beside = Published.read(manifest)
        except PipelineError:
            return None
        if beside is None:
            return None
        return _union(
            None if (one := _read(str(entry.get("dataset")), entry)) is None else frozenset({one})
            for entry in beside.licences
        )

    def _readers(self) -> dict[str, list[Manifest]]:
        if self._consumers is None:
            self._consumers = {}
            for manifest in self._store.manifests():
                for place in inputs_of(manifest):
                    self._consumers.setdefault(place.key, []).append(manifest)
        return self._consumers


def _read(dataset: str, entry: object) -> Licensed | None:
    if not isinstance(entry, Mapping) or entry.get("redistribution") not in LEVELS:
        return None
    spdx, most = str(entry.get("spdx")), str(entry["redistribution"])
    source = " ".join(str(entry.get("source", "")).split())
    return Licensed(dataset, spdx, most, bool(entry.get("share_alike")), source)


def _union(parts: Iterable[frozenset[Licensed] | None]) -> frozenset[Licensed] | None:
    found: set[Licensed] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return frozenset(found)
