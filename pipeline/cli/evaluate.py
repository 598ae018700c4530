"""``pipeline eval``: accuracies, CE and mCE from sealed embeddings alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options

Encoders = Annotated[
    list[str] | None,
    typer.Option("--encoders", "--model", help="Encoders, comma-separated or repeated."),
]
Protocols = Annotated[
    list[str] | None,
    typer.Option(
        "--protocols",
        help="zero-shot, linear-probe, prototype, knn, few-shot. [default: the run's]",
    ),
]
Baseline = Annotated[
    str | None, typer.Option("--baseline", help="Encoder that errors are relative to.")
]
Prompts = Annotated[
    str | None, typer.Option("--prompts", help="Named set of class prompts for zero-shot.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for results, summary and comparisons as .parquet files."),
]

Append = Annotated[
    Path | None,
    typer.Option("--append", help="Folder of a leaderboard that the results are added to."),
]
Name = Annotated[
    str | None, typer.Option("--name", help="Name of these results in it. [default: the run's]")
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("eval")(evaluate)


def evaluate(
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    run: options.Run = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    encoders: Encoders = None,
    protocols: Protocols = None,
    baseline: Baseline = None,
    prompts: Prompts = None,
    only: options.Only = None,
    seed: options.Seed = 0,
    out: Out = None,
    append: Append = None,
    name: Name = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    parts: options.Parts = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Evaluate every protocol whose inputs are sealed; list what is skipped and how to enable it.

    Reads cached shards only: no network, no raw data, no encoder. Exits 4 when something named
    explicitly is missing or a selected collection of sets is only partly built or embedded.

    With --parts, results are shown by a part that finds all the others done.
    """
    from pipeline.cli.evaluation import Asked, evaluation
    from pipeline.cli.execution import Resources, part_of
    from pipeline.cli.study import Study
    from pipeline.store import Store

    study = Study(Store.open(store), manifests, seed=seed)
    asked = Asked(run, datasets, suite, splits, encoders, protocols, baseline, prompts, only)
    found = evaluation(study, asked)
    resources = Resources(workers, log=log, part=part_of(parts))
    if dry_run:
        found.dry_run(resources, as_json=as_json)
        return
    if not found.run(resources):
        return
    if out is not None:
        found.write(out)
    if append is not None:
        found.append(append, name)
    found.show(as_json=as_json)
