"""How a sealed recipe differs from the one that is declared now: what changed, old and new."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeGuard

from pipeline.artifact import Manifest
from pipeline.errors import PipelineError
from pipeline.recipe import Recipe, SealedRecipe
from pipeline.store import Store

Kind: TypeAlias = Literal["version", "parameter", "input", "record"]

_LONGEST = 60
"""Letters of a value in a line of text."""
_NONE = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two recipes differ."""

    kind: Kind
    """What changed: the stage's version, a parameter, an input as a whole, or nothing but that the
    record of the artifact is gone."""
    inputs: tuple[str, ...]
    """Roles that lead from the artifact to the input whose recipe this is of; empty: its own."""
    key: str
    """Parameter with the keys and positions within it, joined by "."; name of an input's role."""
    old: object
    """What it was; None where it was not there, as `had` tells."""
    new: object
    had: bool = True
    """Whether there was an old value."""
    has: bool = True
    """Whether there is a new value."""
    within: str = ""
    """Label of the input whose recipe this is of."""

    def __str__(self) -> str:
        where = "".join(f"input {role}: " for role in self.inputs)
        if where:
            where = f"{where[:-2]} ({self.within}): "
        if self.kind == "record":
            return f"{where}its record is gone"
        what = f"{self.kind} {self.key}".rstrip()
        old = _text(self.old) if self.had else "(none)"
        new = _text(self.new) if self.has else "(none)"
        return f"{where}{what}: {old} -> {new}"

    @property
    def document(self) -> dict[str, Any]:
        """The difference for programs: kind, inputs, key, old, new."""
        return {
            "kind": self.kind,
            "inputs": list(self.inputs),
            "key": self.key,
            "old": self.old,
            "new": self.new,
        }


def recipe_differences(
    manifest: Manifest, recipe: Recipe, store: Store | None = None
) -> list[Difference]:
    """Return how `recipe` differs from that of a sealed artifact.

    With `store`, an input that changed is followed to what changed in it, as far as the store still
    holds the artifact that was used.
    """
    found = list(_between(manifest, recipe, store, ()))
    return found or [Difference("record", (), "", None, None)]


def nearest_version(store: Store, recipe: Recipe) -> Manifest | None:
    """Return the sealed artifact of the same name whose recipe differs least; None without one."""
    folder = store.folder(recipe).parent
    others = [
        manifest
        for manifest in store.manifests_below(folder)
        if manifest.recipe_key != recipe.key and manifest.folder.parent == folder
    ]
    return min(others, key=lambda one: len(recipe_differences(one, recipe)), default=None)


def _between(
    manifest: Manifest, recipe: Recipe, store: Store | None, roles: tuple[str, ...]
) -> Iterator[Difference]:
    before = int(manifest.document["version"])
    if before != recipe.version:
        yield Difference("version", roles, "", before, recipe.version, within=recipe.label)
    new = json.loads(json.dumps(dict(recipe.parameters)))  # tuples are lists in a manifest
    for path, old_value, new_value in _nested((), manifest.parameters, new):
        yield Difference(
            "parameter",
            roles,
            ".".join(path),
            None if old_value is _NONE else old_value,
            None if new_value is _NONE else new_value,
            old_value is not _NONE,
            new_value is not _NONE,
            recipe.label,
        )
    if isinstance(recipe, SealedRecipe):  # of which the inputs are not known
        return
    inputs: Mapping[str, Mapping[str, str]] = manifest.document["inputs"]
    for role in sorted({*inputs, *recipe.inputs}):
        changes = _input(inputs.get(role), recipe.inputs.get(role), store, roles, role)
        yield from (replace(one, within=one.within or recipe.label) for one in changes)


def _input(
    old: Mapping[str, str] | None,
    new: Recipe | None,
    store: Store | None,
    roles: tuple[str, ...],
    role: str,
) -> Iterator[Difference]:
    was = f"{old['stage']}/{old['name']}" if old else None
    if old is not None and new is not None:
        if old["recipe_key"] == new.key:
            return
        if was == new.label and store is not None:
            within = _within(old, new, store, (*roles, role))
            if within:
                yield from within
                return
        was, now = f"{was} {old['recipe_key'][:12]}", f"{new.label} {new.key[:12]}"
        yield Difference("input", roles, role, was, now)
    else:
        now_ = new.label if new else None
        yield Difference("input", roles, role, was, now_, old is not None, new is not None)


def _within(
    old: Mapping[str, str], new: Recipe, store: Store, roles: tuple[str, ...]
) -> list[Difference]:
    """Return what changed within an input; nothing where what was used is no longer there."""
    folder = store.root / old["stage"] / old["name"] / old["recipe_key"]
    try:
        return list(_between(Manifest.read(folder), new, store, roles))
    except (OSError, PipelineError):
        return []


def _nested(
    path: tuple[str, ...], old: object, new: object
) -> Iterator[tuple[tuple[str, ...], object, object]]:
    """Yield the path and both values of everything in which two JSON values differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _nested((*path, key), old.get(key, _NONE), new.get(key, _NONE))
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        for position, pair in enumerate(zip(old, new, strict=True)):
            yield from _nested((*path, str(position)), *pair)
    elif old is _NONE or new is _NONE or old != new:
        yield path, old, new


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
