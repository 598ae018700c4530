"""``pipeline build``: datasets, corruptions, or all of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.options import listed

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node

TARGETS = ("datasets", "corruptions", "all")
Target = Annotated[str, typer.Argument(help="datasets, corruptions or all", metavar="TARGET")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("build")(build)


def build(
    target: Target,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    run: options.Run = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    only: options.Only = None,
    source: options.From = None,
    seed: options.Seed = 0,
    workers: options.Workers = options.DEFAULT_WORKERS,
    no_wait: options.NoWait = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Build datasets (clean splits), corruptions (sets), or all that a run needs.

    Bare `pipeline build corruptions` is MediMeta-C: seven corruptions, five severities, the test
    splits of the five MedIMeta datasets, with whatever they need built first.
    """
    from pipeline.cli.execution import Resources
    from pipeline.cli.execution import build as execute
    from pipeline.cli.study import Study
    from pipeline.store import Store

    opened = Store.open(store)
    study = Study(opened, manifests, local=source, seed=seed)
    chosen = targets(study, target, run, listed(datasets), suite, listed(splits), listed(only))
    resources = Resources(workers, wait=not no_wait, log=log)
    execute(opened, chosen, resources, dry_run=dry_run, as_json=as_json)


def targets(
    study: Study,
    target: str,
    run: str | None,
    datasets: Sequence[str],
    suite: str | None,
    splits: Sequence[str],
    only: Sequence[str],
) -> list[Node]:
    """Return what a build is asked for.

    Raises
    ------
    UsageError
        If a name is unknown or a selector matches nothing.
    """
    from pipeline.cli.study import (
        default_datasets,
        default_suites,
        named_in,
        require_matches,
        unique,
    )
    from pipeline.manifest import unknown_name
    from pipeline.selectors import selects

    if target not in TARGETS:
        raise unknown_name("target", target, TARGETS)
    names = default_datasets(study, datasets, run)
    suites = default_suites(study, suite, run)
    if only and not datasets and not run:
        names = named_in(study, only) or names
    nodes = list(_nodes(study, target, names, suites, splits))
    require_matches(only, [node.recipe.name for node in nodes])
    return unique(node for node in nodes if selects(only, node.recipe.name))


def _nodes(
    study: Study, target: str, names: Sequence[str], suites: Sequence[str], splits: Sequence[str]
) -> Iterator[Node]:
    for name in names:
        if target in {"datasets", "all"}:
            yield from (study.split(name, split) for split in splits or study.splits(name))
        if target in {"corruptions", "all"}:
            for suite in suites:
                for split in splits or ("test",):
                    yield from study.sets(suite, name, split)
