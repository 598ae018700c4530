"""``pipeline pull --render``: sets made here, from recipes and digests that a store shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact
from pipeline.cli.makers import declared_maker, is_made_by_rows
from pipeline.differences import recipe_differences
from pipeline.errors import MissingInputError, UnitsFailedError, VerificationError
from pipeline.sharing.names import Place
from pipeline.store import Store
from stages.corrupt.naming import is_imported
from stages.vocabulary import CORRUPTIONS

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.study import Study
    from pipeline.unit import Node


@dataclass(frozen=True)
class Renders:
    """Sets that can be rendered here instead of being moved."""

    nodes: tuple[Node, ...]
    """Each seals with the content that its recipe promises, or not at all."""
    clean: Mapping[Place, Manifest]
    """Clean splits that are here under another key, by the place that they have there."""
    there: int
    """Sets that are sealed here already, with the promised content."""


def is_rendered(place: Place) -> bool:
    """Tell whether an artifact is one that `pull --render` makes instead of moving it."""
    return place.stage == CORRUPTIONS and not is_imported(place.name.partition("/")[0])


def plan_renders(study: Study, manifests: Sequence[Manifest]) -> Renders:
    """Return how to render sets, given the manifests that a remote has of them.

    Raises
    ------
    MissingInputError
        If a clean split is not here with the content that a set was made from, or what makes a
        set here is not what made it there.
    VerificationError
        If a set is sealed here with other content.
    """
    nodes: list[Node] = []
    clean: dict[Place, Manifest] = {}
    there = 0
    for manifest in manifests:
        if not is_made_by_rows(manifest):
            message = f"{manifest.label}: cannot be rendered: pull it without --render"
            raise MissingInputError(message)
        source = manifest.document["inputs"]["images"]
        artifact = _clean(study.store, manifest, source)
        if artifact.manifest.recipe_key != source["recipe_key"]:
            place = Place(source["stage"], source["name"], source["recipe_key"])
            clean[place] = artifact.manifest
        node = _node(study, manifest, artifact)
        found = study.store.sealed(node.recipe)
        if found is None:
            nodes.append(dataclasses.replace(node, promised=manifest.content_digest))
        else:
            _require_equal(found, manifest)
            there += 1
    return Renders(tuple(nodes), clean, there)


def render(store: Store, renders: Renders, workers: int, log: Path | None = None) -> None:
    """Render the sets and prove each identical to what was promised before it is sealed.

    Raises
    ------
    VerificationError
        If a set came out with other content; it is not sealed then, and the others are.
    """
    from pipeline.cli.execution import Resources, execute
    from pipeline.plan import make_plan
    from pipeline.sharing.pull import stand_for

    if not renders.nodes:
        return
    if renders.clean:
        with store.writing():
            for place, manifest in renders.clean.items():
                stand_for(store, manifest, place)
    plan = make_plan(store, renders.nodes)
    try:
        execute(store, plan, Resources(workers, log=log))
    except UnitsFailedError as error:
        if any(_is_refused(store, node) for node in renders.nodes):
            raise VerificationError(str(error)) from error
        raise
    for node in renders.nodes:  # an alias of an equal recipe was not sealed by this run
        found = store.sealed(node.recipe)
        if found is None or found.content_digest != node.promised:
            message = f"{node.recipe.label} is sealed here with other content than was promised"
            raise VerificationError(message)


def _clean(store: Store, manifest: Manifest, source: Mapping[str, str]) -> Artifact:
    """Return the clean split that is here with the content that a set was made from."""
    label = f"{source['stage']}/{source['name']}"
    folder = store.root / label
    others = []
    for one in store.manifests_below(folder) if folder.is_dir() else ():
        if one.content_digest == source["content_digest"]:
            store.require_undamaged(one)
            return Artifact(one)
        others.append(one)
    why = "is not here" if not others else "is here with other content"
    dataset = source["name"].partition("/")[0]
    message = (
        f"{manifest.label}: {label}, from which it is rendered, {why}: build it with `pipeline "
        f"build datasets --datasets {dataset} --store {store.root}`, or pull it with --with-inputs"
    )
    raise MissingInputError(message)


def _node(study: Study, manifest: Manifest, clean: Artifact) -> Node:
    node = declared_maker(study, manifest, {"images": clean})
    if node.recipe.key != manifest.recipe_key:
        changes = "; ".join(map(str, recipe_differences(manifest, node.recipe)))
        message = (
            f"{manifest.label}: what makes it here is not what made it there ({changes}): pull it "
            "without --render"
        )
        raise MissingInputError(message)
    return node


def _require_equal(here: Manifest, there: Manifest) -> None:
    if here.content_digest != there.content_digest:
        message = (
            f"{there.label}: sealed here with other content ({here.content_digest[:12]}) than "
            f"there ({there.content_digest[:12]}): run `pipeline verify`"
        )
        raise VerificationError(message)


def _is_refused(store: Store, node: Node) -> bool:
    """Tell whether all of a set was rendered, and it was not sealed for its content."""
    return store.sealed(node.recipe) is None and len(store.records(node.recipe)) == node.shards
