"""``pipeline gc``: free what nothing that is kept needs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import NAMED, print_json, print_table, say, show, size
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.collect import Collection, Removal
    from stages.evaluate.schema import RunManifest

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="SELECTOR",
        help="A root: keep these artifacts (<stage>/<name>, with wildcards) and all they need.",
    ),
]
Root = Annotated[
    list[str] | None,
    typer.Option(
        "--root", metavar="RUN", help="A root: keep what this run names, and all it needs."
    ),
]
Grace = Annotated[
    str,
    typer.Option("--grace", help="Leave alone what is younger: 90s, 30m, 12h, 7d or 2w."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("gc")(collect)


def collect(
    keep: Keep = None,
    root: Root = None,
    grace: Grace = "7d",
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Remove what no root needs, superseded versions and what killed writers left.

    Roots are what --keep and --root name; with neither, everything sealed is a root, so that only
    superseded versions, artifacts begun and never sealed, and staging go. A superseded version (a
    newer recipe of the same name is sealed) goes unless something that is kept was made from it.
    Exits with 75, and removes nothing, while another process writes to the store.
    """
    from pipeline.cli.study import Study
    from pipeline.collect import find_unneeded, remove_unneeded
    from pipeline.store import Store

    seconds = _seconds(grace)
    opened = Store.open(store)
    study = Study(opened, manifests)
    is_root = _roots(study, listed(keep), listed(root))

    def find(now: float | None) -> Collection:
        old = superseded(study)
        return find_unneeded(opened, is_root, superseded=old, grace=seconds, now=now)

    looking = dry_run or not store.exists()
    found = find(None) if looking else remove_unneeded(opened, find)
    if as_json:
        print_json("gc", _content(found, dry_run=dry_run))
    else:
        _tell(found, grace, dry_run=dry_run)


def superseded(study: Study) -> set[str]:
    """Return the keys of stale artifacts of whose name a current one is sealed."""
    from pipeline.cli.states import states

    rows = states(study)
    current = {(row["stage"], row["name"]) for row in rows if row["state"] == "sealed"}
    return {
        row["recipe_key"]
        for row in rows
        if row["state"] == "stale" and (row["stage"], row["name"]) in current
    }


def run_selectors(run: RunManifest) -> list[str]:
    """Return the selectors of all that a run names: its splits, sets, embeddings and results."""
    found = []
    encoders = [*run.encoders, run.baseline]
    pairs = [f"{a}-{b}" for a, b in itertools.product(encoders, repeat=2)]
    for dataset in run.datasets:
        found.append(f"datasets/{dataset}")
        for encoder in encoders:
            found += [f"embeddings/{encoder}/{dataset}", f"prompt-embeddings/{encoder}/{dataset}"]
        for suite, split in itertools.product(run.suites, run.splits):
            sets = f"{suite}/{dataset}/{split}"
            found.append(f"corruptions/{sets}")
            found += [f"embeddings/{encoder}/{sets}" for encoder in encoders]
            for who in [*encoders, *pairs]:  # <protocol>/[<template>/]<encoders>/<sets>
                found += [f"*/*/{who}/{sets}", f"*/*/*/{who}/{sets}"]
    return found


def _roots(study: Study, keep: Sequence[str], runs: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells of a label whether it is a root.

    Raises
    ------
    UsageError
        If something that is named is nowhere: a slip of the pen must not remove everything else.
    """
    from pipeline.selectors import selects_artifact, unmatched, unmatched_artifacts

    labels = [manifest.label for manifest in study.store.manifests()]
    if missed := unmatched_artifacts(keep, labels):
        message = f"no artifact matches --keep {missed[0]!r}; see `pipeline list`"
        raise UsageError(message)
    chosen = list(keep)
    for run in runs:
        selectors = run_selectors(study.run(run))
        if len(unmatched(selectors, labels)) == len(selectors):
            message = f"the store has nothing of run {run!r}; see `pipeline list`"
            raise UsageError(message)
        chosen += selectors
    return lambda label: selects_artifact(chosen, label)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        message = f"--grace {text!r}: write a number and s, m, h, d or w, for example 7d or 0s"
        raise UsageError(message)
    return float(match[1]) * _SECONDS[match[2]]


def _content(found: Collection, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "bytes": found.nbytes,
        "inodes": found.inodes,
        "kept": found.kept,
        "artifacts": list(_rows(found.removals)),
        "within_grace": list(_rows(found.young)),
    }


def _rows(removals: Iterable[Removal]) -> Iterator[dict[str, Any]]:
    for one in removals:
        yield {
            "stage": one.stage,
            "name": one.name or one.path.name,
            "recipe_key": one.recipe_key,
            "reason": one.reason,
            "bytes": one.nbytes,
            "inodes": one.inodes,
        }


def _tell(found: Collection, grace: str, *, dry_run: bool) -> None:
    rows = [(one.label, one.reason, size(one.nbytes), str(one.inodes)) for one in found.removals]
    if rows:
        print_table(("artifact", "reason", "bytes", "inodes"), rows[:NAMED])
    if len(rows) > NAMED:
        show(f"and {len(rows) - NAMED} more; --json names them all")
    verb = "would free" if dry_run else "freed"
    show(
        f"{verb} {size(found.nbytes)}, {found.inodes} inodes, {len(rows)} artifacts; "
        f"{found.kept} are kept"
    )
    if found.young:
        say(f"{len(found.young)} more are unneeded and younger than --grace {grace}")
