"""``pipeline build``: datasets, corruptions, prompts, or all of a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from pipeline.cli import options, prompts
from pipeline.cli.options import listed

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node

TARGETS = ("datasets", "corruptions", "all")
_HELP = {
    "datasets": """Build clean splits: fetch or find the files, check them, read them.""",
    "corruptions": """Render sets, with whatever they need built first.

    Without options this is MediMeta-C: seven corruptions, five severities, the test splits of the
    five MedIMeta datasets.

    With --preview, only missing clean splits are built, and the first sample of each is drawn as
    its sets would hold it: datasets x corruptions, and corruptions x severities of each split.""",
    "all": """Build the clean splits and the sets that a run needs.""",
}
Preview = Annotated[
    bool, typer.Option("--preview", help="Draw contact sheets (PNG) instead of building sets.")
]
Severity = Annotated[
    int | None,
    typer.Option(
        "--severity", min=1, max=5, help="Severity of the preview by dataset. [default: 3]"
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the preview's files. [default: .]")
]


class _Targets(TyperGroup):
    """The commands below `build`; an unknown one is an error that suggests the nearest."""

    def resolve_command(
        self,
        ctx: Any,  # noqa: ANN401 the class is private to typer, and another in older versions
        args: list[str],
    ) -> tuple[str | None, Any, list[str]]:
        """Return the command of a target and the arguments after it."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            from pipeline.manifest import unknown_name

            raise unknown_name("target", args[0], self.commands)
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command and its targets to the app."""
    group = typer.Typer(cls=_Targets, no_args_is_help=True, rich_markup_mode=None)
    for target in TARGETS:
        group.command(target, help=_HELP[target])(_of(target))
    prompts.register(group)
    app.add_typer(group, name="build", help="Build datasets, corruptions, prompts, or all.")


def _of(target: str) -> Callable[..., None]:
    """Return `build` for one target, with its other parameters as options."""

    @functools.wraps(build)
    def command(**chosen: object) -> None:
        build(target, **cast("dict[str, Any]", chosen))

    signature = inspect.signature(build, eval_str=True)
    kept = [one for name, one in signature.parameters.items() if name != "target"]
    command.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    types = command.__annotations__
    command.__annotations__ = {name: types[name] for name in types if name != "target"}
    return command


def build(
    target: str,
    context: typer.Context,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    run: options.Run = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    only: options.Only = None,
    source: options.From = None,
    seed: options.Seed = 0,
    backend: options.Backend = "native",
    device: options.Device = "auto",
    preview: Preview = False,
    severity: Severity = None,
    out: Out = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    no_wait: options.NoWait = False,
    parts: options.Parts = None,
    scheduler: options.Scheduler = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Build datasets, corruptions, or all that a run needs: see `_HELP`."""
    from pipeline.cli.execution import Resources, part_of, runner_on
    from pipeline.cli.execution import build as execute
    from pipeline.cli.study import Study
    from pipeline.store import Store

    _require_preview(target, severity, out, preview=preview)
    opened = Store.open(store)
    study = Study(opened, manifests, local=source, device=device, seed=seed)
    chosen = targets(
        study, target, run, listed(datasets), suite, listed(splits), listed(only), backend
    )
    _require_device(device, chosen)
    runner = runner_on(scheduler, context, manifests)
    resources = Resources(workers, not no_wait, log, runner, part_of(parts))
    if preview:
        from pipeline.cli.preview import preview as draw

        draw(study, chosen, severity, out or Path(), resources, dry_run=dry_run, as_json=as_json)
        return
    execute(opened, chosen, resources, dry_run=dry_run, as_json=as_json)


def targets(
    study: Study,
    target: str,
    run: str | None,
    datasets: Sequence[str],
    suite: str | None,
    splits: Sequence[str],
    only: Sequence[str],
    backend: str = "native",
) -> list[Node]:
    """Return what a build is asked for.

    Raises
    ------
    UsageError
        If a name is unknown, a selector matches nothing, or nothing can render a set.
    """
    from pipeline.cli.choices import (
        default_datasets,
        default_suites,
        named_in,
        require_matches,
        unique,
    )
    from pipeline.manifest import require_known
    from pipeline.selectors import selects

    require_known("target", target, TARGETS)
    names = default_datasets(study, datasets, run)
    suites = default_suites(study, suite, run, backend)
    if only and not datasets and not run:
        names = named_in(study, only) or names
    nodes = list(_nodes(study, target, names, suites, splits))
    require_matches(only, [node.recipe.name for node in nodes])
    chosen = unique(node for node in nodes if selects(only, node.recipe.name))
    _require_renderers(chosen)
    return chosen


def _nodes(
    study: Study, target: str, names: Sequence[str], suites: Sequence[str], splits: Sequence[str]
) -> Iterator[Node]:
    for name in names:
        if target in {"datasets", "all"}:
            yield from (study.split(name, split) for split in splits or study.splits(name))
        if target in {"corruptions", "all"}:
            for suite, split in product(suites, splits or ("test",)):
                yield from study.sets(suite, name, split)


def _require_renderers(nodes: Sequence[Node]) -> None:
    """Refuse sets of which torch has no kernel."""
    from stages.corrupt.backends import NOT_ON_TORCH, not_on_torch

    of_sets = [node.recipe.parameters for node in nodes if "renderer" in node.recipe.parameters]
    lacking = [str(of["kernel"]) for of in of_sets if of["renderer"] == NOT_ON_TORCH]
    if lacking:
        raise not_on_torch(list(dict.fromkeys(lacking)))


def _require_device(device: str, nodes: Sequence[Node]) -> None:
    """Refuse a named device that is not there, or that nothing would use."""
    from pipeline.errors import UsageError
    from stages.corrupt.naming import split_name

    if device == "auto":
        return
    if not any(split_name(node.recipe.name.partition("/")[0])[1] == "torch" for node in nodes):
        message = "--device is for sets that torch renders: add --backend torch"
        raise UsageError(message)
    from stages.device import choose_device

    choose_device(device)


def _require_preview(target: str, severity: int | None, out: Path | None, *, preview: bool) -> None:
    """Refuse a preview of anything but corruptions, and its options without it."""
    from pipeline.errors import UsageError

    if preview and target != "corruptions" and target in TARGETS:
        message = f"--preview shows corruptions: pipeline build corruptions, not {target}"
        raise UsageError(message)
    if not preview and (severity is not None or out is not None):
        message = "--severity and --out are for --preview; select sets to build with --only"
        raise UsageError(message)
