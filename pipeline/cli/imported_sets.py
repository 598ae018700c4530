"""Suites of sets that were imported, not rendered: ``<name>@imported``."""

from __future__ import annotations

from dataclasses import replace

from pipeline.errors import MissingInputError, UsageError
from pipeline.store import Store
from pipeline.unit import Node
from stages.corrupt.naming import is_imported
from stages.vocabulary import CORRUPTIONS


def has_imported(store: Store, name: str) -> bool:
    """Return whether the store has imported sets of a suite, or of its ``<suite>/<dataset>``."""
    return is_imported(name.partition("/")[0]) and (store.root / CORRUPTIONS / name).is_dir()


def refuse_imported(store: Store, suite: str) -> None:
    """Refuse to render the sets of a suite that were imported.

    Raises
    ------
    UsageError
        If the suite is one of imported sets.
    MissingInputError
        If it has the name of one, and the store has nothing of it.
    """
    if has_imported(store, suite):
        message = f"the sets of {suite} were imported: nothing here renders them"
        raise UsageError(message)
    require_imported(store, suite)


def require_imported(store: Store, suite: str) -> bool:
    """Return whether a suite has the name of one of imported sets.

    Raises
    ------
    MissingInputError
        If it has, and the store has nothing of it.
    """
    if is_imported(suite) and not has_imported(store, suite):
        name = suite.rpartition("@")[0]
        message = (
            f"nothing of suite {suite} is in the store: import it first with "
            f"`pipeline import FORMAT FOLDER --suite {name} ...`"
        )
        raise MissingInputError(message)
    return is_imported(suite)


def imported_sets(store: Store, suite: str, clean: Node) -> list[Node]:
    """Return the sealed sets that were imported for a clean split as it is now, in name order."""
    from pipeline.plan import sealed_node

    sealed = store.sealed(clean.recipe)
    nodes = []
    for manifest in store.manifests_below(store.root / CORRUPTIONS / suite / clean.recipe.name):
        source = manifest.document["inputs"]["images"]
        if sealed is not None and source["content_digest"] == sealed.content_digest:
            nodes.append(replace(sealed_node(manifest), attributes=manifest.attributes))
    return nodes
