"""``pipeline import``: finished sets of others as artifacts of the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.options import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.artifact import Artifact
    from pipeline.cli.study import Study
    from pipeline.unit import Node
    from stages.exchange.npz import Stored

Form = Annotated[str, typer.Argument(metavar="FORMAT", help="robustmedclip-npz or medmnistc-npz.")]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="The root of the sets, or the folder in which the files lie."
    ),
]
DatasetOption = Annotated[
    str, typer.Option("--dataset", help="The declared dataset whose clean split was corrupted.")
]
SuiteName = Annotated[
    str, typer.Option("--suite", help="Name for the sets; they become the suite NAME@imported.")
]
SplitOption = Annotated[str, typer.Option("--split", help="train, val or test.")]
LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", help="TOML that says which class each label in the files stands for."),
]
Corruptions = Annotated[
    list[str] | None,
    typer.Option("--corruptions", help="Those to import, comma-separated. [default: all there]"),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("import")(import_sets)


def import_sets(
    form: Form,
    folder: Folder,
    dataset: DatasetOption,
    suite: SuiteName,
    labels: LabelsOption = None,
    split: SplitOption = "test",
    corruptions: Corruptions = None,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    source: options.From = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    no_wait: options.NoWait = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Import finished sets of RobustMedCLIP's or MedMNIST-C's layout, as the suite NAME@imported.

    The clean split must be sealed: the labels, numbered by --labels, must be its own, sample by
    sample. The sets are known by the digests of their files; nothing is loaded from a pickle.
    """
    from pipeline.cli.execution import Resources, build
    from pipeline.cli.study import Study
    from pipeline.store import Store

    opened = Store.open(store)
    study = Study(opened, manifests, local=source)
    nodes = _nodes(study, form, folder, dataset, suite, split, labels, listed(corruptions))
    _require_free(study, nodes)
    resources = Resources(workers, wait=not no_wait, log=log)
    build(opened, nodes, resources, dry_run=dry_run, as_json=as_json)


def _nodes(
    study: Study,
    form: str,
    folder: Path,
    dataset: str,
    suite: str,
    split: str,
    labels: Path | None,
    corruptions: Sequence[str],
) -> list[Node]:
    from pipeline.manifest import require_known
    from stages.exchange.importing.label_map import read_label_map
    from stages.exchange.importing.layouts import LAYOUTS, find_clean, find_sets
    from stages.exchange.importing.stage import import_node, require_fitting

    require_known("import format", form, LAYOUTS)
    declared = study.labelled(dataset)
    _require_name(suite)
    label_map = read_label_map(_required(labels, dataset), {dataset: declared.classes})
    clean = study.split(dataset, split)
    found = find_sets(form, folder, dataset, declared.family, split, corruptions)
    shape = (*declared.shape, declared.channels)
    sealed = _sealed(study, clean)
    require_fitting(found, sealed, label_map, shape)
    _tell_of_clean(find_clean(form, found), sealed)
    return [import_node(form, suite, one, clean, label_map, folder) for one in found]


def _required(labels: Path | None, dataset: str) -> Path:
    from pipeline.errors import UsageError

    if labels is None:
        message = (
            "--labels is needed: a TOML file with schema = 1, "
            f'dataset = "{dataset}" and classes = [...], its classes in the order in which the '
            "labels of the files number them"
        )
        raise UsageError(message)
    return labels


def _require_name(suite: str) -> None:
    import re

    from pipeline.errors import UsageError

    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", suite):
        message = f"--suite {suite!r}: use small letters, digits, '.', '_' and '-'"
        raise UsageError(message)


def _sealed(study: Study, clean: Node) -> Artifact:
    from pipeline.errors import MissingInputError

    if study.store.sealed(clean.recipe) is None:
        dataset, split = clean.recipe.name.split("/")
        message = (
            f"{clean.recipe.name} is not built, and its labels are needed: build it first with "
            f"`pipeline build datasets --datasets {dataset} --splits {split} {study.options}`"
        )
        raise MissingInputError(message)
    return study.store.artifact(clean.recipe)


def _tell_of_clean(images: Stored | None, clean: Artifact) -> None:
    """Say if the sets were made of other clean images than those that they are compared with."""
    from pipeline.cli.output import say
    from stages.exchange.importing.stage import differing_images

    differing = differing_images(images, clean) if images is not None else 0
    if images is not None and differing:
        say(
            f"note: {differing} of the {len(clean)} images in {images.path} are not those of "
            f"{clean.name}: clean errors will be those of {clean.name}"
        )


def _require_free(study: Study, nodes: Sequence[Node]) -> None:
    """Refuse names under which other files are imported: a suite has one set of each name."""
    from pipeline.errors import UsageError

    for node in nodes:
        folder = study.store.root / node.recipe.stage / node.recipe.name
        for manifest in study.store.manifests_below(folder):
            if manifest.recipe_key != node.recipe.key:
                message = (
                    f"{node.recipe.name} is in the store from other files, or for another clean "
                    f"split: choose another --suite, or remove {manifest.folder}"
                )
                raise UsageError(message)
