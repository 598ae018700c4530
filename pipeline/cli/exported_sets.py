"""Which sealed sets an export is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact, Manifest
from pipeline.cli.choices import not_built
from pipeline.errors import MissingInputError, PipelineError, UsageError
from pipeline.manifest import nearest
from pipeline.selectors import selects, unmatched
from stages.vocabulary import CLEAN

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node
    from stages.exchange.exported_set import ExportedSet

_STAGES = ("datasets", "corruptions")


def exported_sets(
    study: Study,
    selectors: Sequence[str],
    labels: Sequence[Path],
    run: str | None,
    template: str | None,
) -> list[ExportedSet]:
    """Return the sealed sets that selectors match, by name.

    Parameters
    ----------
    labels
        Files that say in which order to number the classes of a dataset.
    run, template
        The run manifest whose templates go along, and which of them; by default its first.

    Raises
    ------
    UsageError
        If a selector matches nothing, or a label map or a template is not known.
    MissingInputError
        If a selector matches declared sets that are not built, some or all.
    """
    found = _sealed(study)
    matched = [name for name in found if selects(selectors, name)]
    if missed := unmatched(selectors, list(found)):
        raise _nothing(study, missed[0], list(found))
    _require_whole(study, selectors, matched)
    chosen = [_current(study, name, found[name]) for name in matched]
    orders = _class_orders(chosen, labels)
    templates = _templates(study, run, template)
    return [_exported(study, one, orders, templates) for one in chosen]


def _sealed(study: Study) -> dict[str, list[Manifest]]:
    """Return the sealed sets and clean splits by name; of other seeds where none has this one."""
    found: dict[str, list[Manifest]] = {}
    for stage in _STAGES:
        for manifest in study.store.manifests_below(study.store.root / stage):
            if manifest.arrays.get("images") or manifest.mixed.get("images"):
                found.setdefault(manifest.name, []).append(manifest)
    return {name: found[name] for name in sorted(found, key=_by_severity)}


def _by_severity(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((len(part), part) if part.isdigit() else (0, part) for part in name.split("/"))


def _current(study: Study, name: str, sealed: Sequence[Manifest]) -> Manifest:
    """Return which of several artifacts of one name is meant: the one that is declared now.

    Raises
    ------
    UsageError
        If none of several is.
    """
    if len(sealed) == 1:
        return sealed[0]
    keys = {node.recipe.key for node in _nodes(study, name) if node.recipe.name == name}
    current = [manifest for manifest in sealed if manifest.recipe_key in keys]
    if not current:
        message = (
            f"{name} is in the store {len(sealed)} times, and none is what the manifests and "
            "--seed say now: build it, or name the --seed it was built with"
        )
        raise UsageError(message)
    return current[0]


def _nodes(study: Study, name: str) -> list[Node]:
    """Return what is declared beside a set or a split: all sets of the same suite and split."""
    suite, dataset, split = ("", *name.split("/"))[-3:] if name.count("/") == 1 else _group(name)
    try:
        return study.sets(suite, dataset, split) if suite else [study.split(dataset, split)]
    except PipelineError:
        return []  # not declared, or its source is not at hand: what is sealed is all there is


def _group(name: str) -> tuple[str, str, str]:
    """Return suite, dataset and split of a set."""
    suite, dataset, split, *_ = name.split("/")
    return suite, dataset, split


def _require_whole(study: Study, selectors: Sequence[str], matched: Sequence[str]) -> None:
    """Refuse a selection of which some sets are sealed and others of the same split are not."""
    for group in dict.fromkeys(_group(name) for name in matched if name.count("/") > 1):
        declared = [node.recipe.name for node in _nodes(study, "/".join(group))]
        lacking = [n for n in declared if selects(selectors, n) and n not in matched]
        if lacking:
            only = [text for text in selectors if text.startswith(group[0])]
            raise MissingInputError(not_built(study, lacking, *group, only))


def _nothing(study: Study, selector: str, names: Sequence[str]) -> PipelineError:
    """Return the error for a selector that matches nothing sealed."""
    first, *rest = selector.split("/")
    if first in study.datasets and len(rest) < 2:
        splits = f" --splits {rest[0]}" if rest and rest[0].isalpha() else ""
        command = f"pipeline build datasets --datasets {first}{splits} {study.options}"
        return MissingInputError(f"nothing of {selector!r} is sealed: build it with: {command}")
    if study.has_suite(first) and (not rest or _is_dataset(study, rest[0])):
        command = f"pipeline build corruptions --suite {first} --only '{selector}'"
        message = f"nothing of {selector!r} is sealed: build it with: {command} {study.options}"
        return MissingInputError(message)
    hint = nearest(selector, [*names, *study.suites, *study.datasets][:2000])
    return UsageError(f"no sealed set matches {selector!r}{hint if len(hint) < 200 else ''}")


def _is_dataset(study: Study, part: str) -> bool:
    return any(selects([part], name) for name in study.datasets)


def _class_orders(chosen: Sequence[Manifest], paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    from stages.exchange.importing.label_map import read_label_map

    classes = {_dataset(one): tuple(one.attributes.get("classes", ())) for one in chosen}
    maps = [read_label_map(path, classes) for path in paths]
    return {one.dataset: one.classes for one in maps}


def _templates(study: Study, run: str | None, name: str | None) -> tuple[str, ...]:
    from pipeline.cli.choices import DEFAULT_RUN
    from pipeline.manifest import unknown_name

    known = study.run(run or DEFAULT_RUN).templates
    if name is not None and name not in known:
        raise unknown_name(f"template of run {run or DEFAULT_RUN}", name, known)
    chosen = name or next(iter(known), None)
    return () if chosen is None else tuple(known[chosen])


def _dataset(manifest: Manifest) -> str:
    return str(manifest.parameters["dataset"])


def _exported(
    study: Study,
    manifest: Manifest,
    orders: dict[str, tuple[str, ...]],
    templates: Sequence[str],
) -> ExportedSet:
    from stages.evaluate.templates import fill
    from stages.exchange.exported_set import ExportedSet

    study.store.require_undamaged(manifest)
    artifact, dataset = Artifact(manifest), _dataset(manifest)
    parts = manifest.name.split("/")
    of_set = (parts[0], parts[3], int(parts[4])) if len(parts) == 5 else ("", CLEAN, 0)
    return ExportedSet(
        artifact,
        dataset,
        str(manifest.parameters["split"]),
        *of_set,
        masks=_masks(study, artifact),
        class_order=orders.get(dataset, ()),
        templates=tuple(fill(template, "{c}", dataset) for template in templates),
    )


def _masks(study: Study, artifact: Artifact) -> Artifact | None:
    """Return where the masks of a set lie: in itself, or in the clean split it was made from."""
    if artifact.attributes.get("task") != "segmentation":
        return None
    if "masks" in artifact.manifest.mixed:
        return artifact
    return study.store.input_of(artifact.manifest, "images")
