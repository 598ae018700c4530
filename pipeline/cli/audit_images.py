"""``pipeline audit images``: samples that splits and collections share."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import print_json, print_table, say, show, show_some, write_files

if TYPE_CHECKING:
    from pipeline.artifact import Artifact
    from pipeline.cli.study import Study
    from pipeline.unit import Node

KINDS = ("equal", "patient", "file-name", "alike")
SHARED = 5
"""Exit code where splits share samples."""

Out = Annotated[Path | None, typer.Option("--out", help="CSV file for all pairs.")]


def audit_images(
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    datasets: options.Datasets = None,
    splits: options.Splits = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    out: Out = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Find samples that sealed splits share, within a dataset and between all of them.

    By patient, by file name, by equal pixels, and by likeness: a perceptual hash finds
    candidates, registration confirms them. What was compared is kept in the store. Exits 0 where
    nothing is shared, and 5 where something is; what only looks alike is no failure.
    """
    from pipeline.cli.execution import Resources, execute, show_plan
    from pipeline.cli.study import Study
    from pipeline.plan import make_plan
    from pipeline.store import Store

    study = Study(Store.open(store), manifests)
    nodes = comparisons(study, listed(datasets), listed(splits), workers)
    plan = make_plan(study.store, nodes)
    if dry_run:
        show_plan(study.store, plan, as_json=as_json)
        return
    execute(study.store, plan, Resources(1, log=log))
    found = [study.store.artifact(node.recipe) for node in nodes]
    if out is not None:
        write_files(out, {out: _as_csv(found).encode()})
    if as_json:
        print_json("audit-images", {"comparisons": [told(one) for one in found]})
    else:
        _show(found)
    if any(one["confirmed"] for artifact in found for one in artifact.index().to_pylist()):
        raise typer.Exit(SHARED)


def comparisons(
    study: Study, datasets: Sequence[str], splits: Sequence[str], workers: int
) -> list[Node]:
    """Return the comparison of every two sealed clean splits that are chosen.

    Raises
    ------
    UsageError
        If a name is unknown.
    MissingInputError
        If a named dataset has no sealed split, or fewer than two splits are sealed.
    """
    from pipeline.errors import MissingInputError
    from stages.leaks.stage import comparison_node

    sealed = sealed_splits(study, datasets, splits)
    if len(sealed) < 2:
        message = (
            "fewer than two splits are built, so there is nothing to compare; build more with: "
            f"pipeline build datasets {study.options}"
        )
        raise MissingInputError(message)
    return [comparison_node(*pair, workers) for pair in itertools.combinations(sealed, 2)]


def sealed_splits(study: Study, datasets: Sequence[str], splits: Sequence[str]) -> list[Node]:
    """Return the sealed clean splits that are chosen.

    Raises
    ------
    UsageError
        If a name is unknown.
    MissingInputError
        If a named dataset has none.
    """
    from pipeline.cli.sealed_inputs import stored_datasets
    from pipeline.errors import MissingInputError

    named = [study.dataset(name).id for name in datasets]
    stored = [name for name in stored_datasets(study) if name in study.datasets]
    sealed = []
    for name in named or stored:
        nodes = [study.split(name, split) for split in study.splits(name)]
        own = [node for node in nodes if study.store.sealed(node.recipe)]
        if not own and named:
            message = (
                f"no split of {name} is built; build it with: pipeline build datasets "
                f"--datasets {name} {study.options}"
            )
            raise MissingInputError(message)
        sealed += [n for n in own if not splits or n.recipe.parameters["split"] in splits]
    return sealed


def told(artifact: Artifact) -> dict[str, Any]:
    """Return what a comparison found: counts by kind, and how often hashes mislead."""
    rows = artifact.index().to_pylist()
    counts = {
        kind: {
            "pairs": sum(row["kind"] == kind for row in rows),
            "confirmed": sum(row["kind"] == kind and row["confirmed"] for row in rows),
        }
        for kind in KINDS
    }
    chance = {role: artifact.attributes[f"chance_{role}"] for role in ("first", "second")}
    names = {role: artifact.manifest.document["inputs"][role]["name"] for role in chance}
    return {**names, "shared": counts, "chance": chance, "pairs": rows}


def _show(found: Sequence[Artifact]) -> None:
    every = [told(artifact) for artifact in found]
    sharing = [one for one in every if one["pairs"]]
    if sharing:
        headings = ("first", "second", "equal", "patients", "file names", "alike", "by chance")
        print_table(headings, [_cells(one) for one in sharing])
        say(
            "file names, alike: confirmed by registration, of those found. By chance: how often "
            "the hash calls different images of one split alike, and how many of those that were "
            "registered look the same then."
        )
    show(f"{len(every) - len(sharing)} of {len(every)} comparisons share nothing")
    confirmed = [(one, row) for one in every for row in one["pairs"] if row["confirmed"]]
    show_some([_line(one, row) for one, row in confirmed], "--out writes them all")


def _line(one: dict[str, Any], row: dict[str, Any]) -> str:
    text = f"{row['kind']}: {one['first']} {row['first']} and {one['second']} {row['second']}"
    moved = row["correlation"]
    return text if moved is None else f"{text} (correlation {moved:.3f})"


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    counts = one["shared"]
    shown = [_counted(counts[kind], plain=kind in {"equal", "patient"}) for kind in KINDS]
    worst = max(one["chance"].values(), key=lambda chance: chance["rate_high"])
    rate = f"{worst['rate_low']:.2%}-{worst['rate_high']:.2%}, {worst['same']}/{worst['checked']}"
    return (one["first"], one["second"], *shown, rate)


def _counted(count: dict[str, int], *, plain: bool) -> str:
    return str(count["pairs"]) if plain else f"{count['confirmed']} of {count['pairs']}"


def _as_csv(found: Sequence[Artifact]) -> str:
    sink = io.StringIO()
    columns = ("first_split", "second_split", *found[0].index().column_names)
    writer = csv.DictWriter(sink, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for one in map(told, found):
        for row in one["pairs"]:
            writer.writerow({"first_split": one["first"], "second_split": one["second"], **row})
    return sink.getvalue()
