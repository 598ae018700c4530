"""The state of every artifact, from manifests alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.artifact import Manifest
from pipeline.cli.choices import unique
from pipeline.differences import Difference, nearest_version, recipe_differences
from pipeline.errors import MissingInputError, UsageError, VerificationError
from pipeline.selectors import selects, selects_artifact
from pipeline.store import Store
from stages.vocabulary import CORRUPTIONS, DATASETS, EMBEDDINGS

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node


def states(study: Study, run: str | None = None) -> list[dict[str, Any]]:
    """Return one row per artifact: stage, name, recipe_key, content_digest, state, rows, bytes."""
    store = study.store
    manifests, rows = _readable(store)
    expected = unique(_expected(study, manifests, run))
    damaged = store.damaged()
    stale = _stale(manifests, expected, store)
    for manifest in manifests.values():
        state = "sealed"
        if manifest.recipe_key in stale:
            state = "stale"
        if damaged and manifest.identity in damaged:
            state = "damaged"
        rows.append(state_row(manifest.stage, manifest.name, manifest.recipe_key, state, manifest))
    sealed = {recipe_key for recipe_key in manifests if recipe_key not in stale}
    for stage, name, key in store.unsealed():
        if key not in sealed:
            rows.append(state_row(stage, name, key, "missing"))
    begun = {row["recipe_key"] for row in rows}
    for node in expected:
        recipe = node.recipe
        if recipe.key not in begun and _sealed(store, node) is None:
            rows.append(state_row(recipe.stage, recipe.name, recipe.key, "missing", node=node))
    return sorted(rows, key=lambda row: (row["stage"], row["name"], row["recipe_key"]))


def explained(study: Study, name: str) -> list[dict[str, Any]]:
    """Return what the artifacts of a name (or selector) are made from, and why they lack.

    Raises
    ------
    UsageError
        If no artifact, present or expected, has this name.
    """
    store = study.store
    manifests, _ = _readable(store)
    nodes = {node.recipe.label: node for node in _expected(study, manifests, None)}
    nodes |= {node.recipe.label: node for node in _named(study, name)}
    found = []
    seen = set()
    for row in states(study):
        label = f"{row['stage']}/{row['name']}"
        seen.add(label)
        if selects_artifact([name], label):
            manifest = manifests.get(row["recipe_key"])
            found.append(_explanation(store, row["state"], label, manifest, nodes.get(label)))
    for label, node in nodes.items():
        if label not in seen and selects_artifact([name], label):
            found.append(_explanation(store, "missing", label, None, node))
    if not found:
        message = f"no artifact is named {name!r}; see `pipeline status` and `pipeline list`"
        raise UsageError(message)
    return found


def _explanation(
    store: Store, state: str, label: str, manifest: Manifest | None, node: Node | None
) -> dict[str, Any]:
    stage, name = label.split("/", 1)
    reasons, compared, changes = _reasons(store, state, manifest, node)
    recipe = node.recipe if node else None
    if manifest is not None:
        parameters = manifest.parameters
        inputs = {
            role: f"{one['stage']}/{one['name']} {one['recipe_key']}"
            for role, one in manifest.document["inputs"].items()
        }
        key = manifest.recipe_key
    else:
        parameters = dict(recipe.parameters) if recipe else {}
        sources = recipe.inputs.items() if recipe else ()
        inputs = {role: f"{source.label} {source.key}" for role, source in sources}
        key = recipe.key if recipe else ""
    return {
        "stage": stage,
        "name": name,
        "state": state,
        "reasons": reasons,
        "compared_with": compared.recipe_key if compared else None,
        "differences": [one.document for one in changes],
        "recipe_key": key,
        "parameters": parameters,
        "inputs": inputs,
    }


def _reasons(
    store: Store, state: str, manifest: Manifest | None, node: Node | None
) -> tuple[list[str], Manifest | None, list[Difference]]:
    """Return why an artifact lacks, the sealed one its recipe is compared with, and how it differs.

    A stale one is compared with its own recipe as it was sealed, a missing one with the nearest of
    its name that is sealed.
    """
    if state == "damaged":
        if manifest is None:
            return (
                ["its manifest was changed or cut short; remove its folder and build again"],
                None,
                [],
            )
        kinds = ", ".join(store.damaged()[manifest.identity])
        fate = f"remove {manifest.folder} and build again"
        return [f"the last verify found: {kinds}; {fate}"], None, []
    compared = manifest if state == "stale" else None
    if node is None:
        return ["an input of it has changed"] if state == "stale" else [], None, []
    if state == "missing":
        if records := len(store.records(node.recipe)):
            return [f"partial: {records} of {node.shards} shards are published"], None, []
        compared = nearest_version(store, node.recipe)
        if compared is None:
            return ["never built"], None, []
    changes = [] if compared is None else recipe_differences(compared, node.recipe, store)
    return [str(one) for one in changes], compared, changes


def _readable(store: Store) -> tuple[dict[str, Manifest], list[dict[str, Any]]]:
    """Return the manifests that can be read by recipe key, and rows for those that cannot."""
    manifests: dict[str, Manifest] = {}
    rows = []
    for folder in store.artifact_folders():
        try:
            manifest = Manifest.read(folder, exact=False)
        except FileNotFoundError:
            continue
        except VerificationError:
            stage, *parts, key = folder.relative_to(store.root).parts
            rows.append(state_row(stage, "/".join(parts), key, "damaged"))
            continue
        manifests[manifest.recipe_key] = manifest
    return manifests, rows


def _expected(study: Study, manifests: dict[str, Manifest], run: str | None) -> Iterator[Node]:
    """Yield what should exist given what the store has begun, and what a run lists."""
    images: list[Node] = []
    begun = [(m.stage, m.name, m.parameters.get("seed")) for m in manifests.values()]
    begun += [(stage, name, None) for stage, name, _ in study.store.unsealed()]
    for stage, name, seed in dict.fromkeys(begun):
        images += _images(study, stage, name.split("/"), seed)
    if run is not None:
        images += _of_run(study, run)
    images = unique(iter(images))
    yield from images
    embedded = {manifest.name for manifest in manifests.values() if manifest.stage == EMBEDDINGS}
    for encoder in study.embedded_encoders():
        yield from _embeddings(study, encoder, images, embedded)


def _images(study: Study, stage: str, parts: list[str], seed: object) -> list[Node]:
    """Return the clean split of that name, or all sets of the suite and split it belongs to."""
    try:
        if stage == DATASETS and parts[0] in study.datasets:
            return [study.split(parts[0], parts[1])]
        if stage == CORRUPTIONS and study.has_suite(parts[0]) and parts[1] in study.datasets:
            suite, dataset, split = parts[:3]
            known = seed if isinstance(seed, int) else None
            return study.sets(suite, dataset, split, known)
    except (MissingInputError, UsageError, VerificationError):
        pass  # its source is not at hand to be named, or its manifest has changed
    return []


def _embeddings(
    study: Study, encoder: str, images: list[Node], embedded: set[str]
) -> Iterator[Node]:
    """Yield the embeddings of an encoder on every split of which it has any."""
    families = {_family(name) for name in embedded}
    for node in images:
        name = f"{encoder}/{node.recipe.name}"
        if name in embedded or _family(name) in families:
            try:
                yield study.embedding(encoder, node)
            except (MissingInputError, VerificationError):
                return  # its weights are not at hand and the store has pinned none


def _family(name: str) -> str:
    """Return an embedding's name without corruption and severity; of a clean split, itself."""
    parts = name.split("/")
    return "/".join(parts[:4]) if len(parts) == 6 else name


def _of_run(study: Study, run: str) -> list[Node]:
    manifest = study.run(run)
    nodes: list[Node] = []
    for dataset in manifest.datasets:
        nodes += [study.split(dataset, split) for split in study.splits(dataset)]
        for suite in manifest.suites:
            for split in manifest.splits:
                nodes += study.sets(suite, dataset, split)
    return nodes


def _named(study: Study, name: str) -> list[Node]:
    """Return the node of a plain name that nothing in the store has begun."""
    parts = name.split("/")
    parts = parts[1:] if parts[0] in {DATASETS, CORRUPTIONS} else parts
    if len(parts) == 2 and parts[0] in study.datasets and parts[1] in study.splits(parts[0]):
        return [study.split(parts[0], parts[1])]
    known = len(parts) == 5 and study.has_suite(parts[0]) and parts[1] in study.datasets
    if known and parts[2] in study.splits(parts[1]):
        sets = study.sets(parts[0], parts[1], parts[2])
        return [node for node in sets if selects(["/".join(parts)], node.recipe.name)]
    return []


def _stale(manifests: dict[str, Manifest], expected: list[Node], store: Store) -> set[str]:
    """Return the keys of artifacts whose recipe, or an input's recipe, is no longer current."""
    labels = {node.recipe.label for node in expected}
    found = [manifests.get(node.recipe.key) or _sealed(store, node) for node in expected]
    current = {manifest.recipe_key for manifest in found if manifest is not None}
    known: dict[str, bool] = {}

    def is_stale(key: str) -> bool:
        if key in known or key not in manifests:
            return known.get(key, False)
        known[key] = False
        manifest = manifests[key]
        changed = manifest.label in labels and key not in current
        inputs = manifest.document["inputs"].values()
        known[key] = changed or (
            key not in current and any(is_stale(one["recipe_key"]) for one in inputs)
        )
        return known[key]

    return {key for key in manifests if is_stale(key)}


def _sealed(store: Store, node: Node) -> Manifest | None:
    """Return the manifest of a node; None too where it was changed, for that has a row already."""
    with contextlib.suppress(VerificationError):
        return store.sealed(node.recipe)
    return None


def state_row(
    stage: str,
    name: str,
    key: str,
    state: str,
    manifest: Manifest | None = None,
    node: Node | None = None,
) -> dict[str, Any]:
    """Return what `pipeline status` says of an artifact, from its manifest or else its node."""
    rows = manifest.rows if manifest else node.rows if node else 0
    nbytes = manifest.nbytes if manifest else node.rows * node.row_bytes if node else 0
    return {
        "stage": stage,
        "name": name,
        "recipe_key": key,
        "content_digest": manifest.content_digest if manifest else None,
        "state": state,
        "rows": rows,
        "bytes": nbytes,
    }
