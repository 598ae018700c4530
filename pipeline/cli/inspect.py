"""``pipeline list``, ``plan``, ``status`` and ``explain``: look, change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import print_json, print_table, say, show, show_some, size

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.store import Store
    from stages.download.folders import AnyDataset
    from stages.download.schema import Split

LONGEST_VALUE = 200
"""Most letters of a parameter that `explain` shows."""
KINDS = ("artifacts", "sets", "datasets", "suites", "rule-sets", "encoders", "runs")
Kind = Annotated[
    str,
    typer.Argument(help=", ".join(KINDS[:-1]) + " or runs.", metavar="[KIND]"),
]
Target = Annotated[str, typer.Argument(help="datasets, corruptions or all.", metavar="[TARGET]")]
Name = Annotated[str, typer.Argument(help="<stage>/<name> of one artifact, or a set's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("list")(list_)
    app.command()(plan)
    app.command()(status)
    app.command()(explain)


def list_(
    kind: Kind = "artifacts",
    store: options.StoreOrUrl = str(options.DEFAULT_STORE),
    manifests: options.Manifests = None,
    as_json: options.AsJson = False,
) -> None:
    """List what is sealed in the store (artifacts, sets), or what can be named in commands."""
    from pipeline.cli.study import Study
    from pipeline.manifest import require_known
    from pipeline.store import Store
    from stages.vocabulary import CORRUPTIONS

    require_known("kind", kind, KINDS)
    sealed = kind in {"artifacts", "sets"}
    stage = CORRUPTIONS if kind == "sets" else None
    if sealed and options.is_address(store):
        from pipeline.cli.remote_store import sealed_rows

        rows = sealed_rows(store, stage)
    elif sealed:
        rows = _sealed_rows(Store.open(Path(store)), stage)
    else:
        opened = Store.open(options.local_folder(Path(store)))
        rows = list(_DECLARED[kind](Study(opened, manifests)))
    if as_json:
        print_json("list", {kind: rows})
    elif rows:
        print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
    else:
        say(f"no {kind} in {store}")


def plan(
    target: Target = "all",
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    run: options.Run = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    only: options.Only = None,
    seed: options.Seed = 0,
    backend: options.Backend = "native",
    as_json: options.AsJson = False,
) -> None:
    """Show what a build would make, and why; nothing is changed."""
    from pipeline.cli.build import targets
    from pipeline.cli.execution import show_plan
    from pipeline.cli.study import Study
    from pipeline.plan import make_plan
    from pipeline.store import Store

    opened = Store.open(store)
    study = Study(opened, manifests, seed=seed)
    nodes = targets(
        study, target, run, listed(datasets), suite, listed(splits), listed(only), backend
    )
    show_plan(opened, make_plan(opened, nodes), as_json=as_json)


def status(
    selectors: options.Selectors = None,
    store: options.StoreOrUrl = str(options.DEFAULT_STORE),
    manifests: options.Manifests = None,
    run: options.Run = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the state of every artifact: sealed, missing, stale or damaged.

    Reads manifests alone; "damaged" is what the last `pipeline verify` recorded. Missing are the
    rest of what the store has begun: the other sets of a suite on a split, and their embeddings;
    with --run also what that run still lacks. Of a store at an address: sealed, damaged by its
    manifest, or missing because it was begun there and never sealed.
    """
    from pipeline.cli.states import states
    from pipeline.cli.study import Study
    from pipeline.selectors import selects_artifact
    from pipeline.store import Store

    if options.is_address(store):
        from pipeline.cli.remote_store import remote_states

        every = remote_states(store)
    else:
        every = states(Study(Store.open(Path(store)), manifests), run)
    rows = [
        row for row in every if selects_artifact(selectors or [], f"{row['stage']}/{row['name']}")
    ]
    if as_json:
        print_json("status", {"artifacts": rows})
        return
    counts: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        total = counts.setdefault((row["stage"], row["state"]), [0, 0, 0])
        for position, value in enumerate((1, row["rows"], row["bytes"])):
            total[position] += value
    cells = [(*key, str(n), str(samples), size(b)) for key, (n, samples, b) in counts.items()]
    print_table(("stage", "state", "artifacts", "rows", "bytes"), cells)
    named = [row for row in rows if row["state"] != "sealed"]
    if not selectors:
        named = [row for row in named if row["state"] != "missing"]
    lines = [f"{row['state']}: {row['stage']}/{row['name']}" for row in named]
    show_some(lines, "--json names them all")


def explain(
    name: Name,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what an artifact is made from, and why it is missing or would be rebuilt."""
    from pipeline.cli.states import explained
    from pipeline.cli.study import Study
    from pipeline.store import Store

    found = explained(Study(Store.open(store), manifests), name)
    if as_json:
        print_json("explain", {"artifacts": found})
        return
    for one in found:
        show(f"{one['stage']}/{one['name']}: {one['state']}")
        for reason in one["reasons"]:
            show(f"  because: {reason}")
        show(f"  recipe key: {one['recipe_key']}")
        for key, value in one["parameters"].items():
            text = str(value)
            cut = len(text) > LONGEST_VALUE
            show(f"  {key} = {text[:LONGEST_VALUE]}{' … (--json has all of it)' if cut else ''}")
        for role, source in one["inputs"].items():
            show(f"  input {role}: {source}")


def _sealed_rows(store: Store, stage: str | None) -> list[dict[str, Any]]:
    return [m.summary for m in store.manifests() if stage in {None, m.stage}]


_DECLARED: Mapping[str, Callable[[Study], Iterator[dict[str, Any]]]] = {
    "datasets": lambda study: (_dataset_row(one) for one in study.datasets.values()),
    "suites": lambda study: (
        {"id": one.id, "corruptions": len(study.corruptions_of(one.id)), "title": one.title}
        for one in study.suites.values()
    ),
    "rule-sets": lambda study: (
        {"id": one.id, "version": one.version, "title": one.title}
        for one in study.rule_sets.values()
    ),
    "encoders": lambda study: (
        {"id": one.id, "kind": one.kind, "width": one.width, "title": one.title}
        for one in study.encoders.values()
    ),
    "runs": lambda study: (
        {"id": one.id, "datasets": " ".join(one.datasets), "title": one.title}
        for one in study.runs.values()
    ),
}
"""What is said of everything of a kind that manifests declare."""


def _dataset_row(one: AnyDataset) -> dict[str, Any]:
    from stages.download.schema import Dataset

    size: object = "native"
    counts: Mapping[Split, int | None]
    if isinstance(one, Dataset):
        size, counts = one.size, one.splits.counts() if one.splits else {}
    else:
        counts = one.split_set.counts()
    return {
        "id": one.id,
        "task": one.task,
        "size": size,
        "classes": len(one.classes),
        "splits": " ".join(f"{k}={v or '?'}" for k, v in counts.items()),
        "licence": one.licence.spdx,
        "synthetic": one.synthetic,
        "title": one.title,
    }


def _cell(value: object) -> str:
    text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text[:12] if len(text) == 64 and isinstance(value, str) else text
