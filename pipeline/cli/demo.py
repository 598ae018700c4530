"""``pipeline demo``: the whole path on synthetic images, with nothing to download."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.output import say, show

RUN = "demo"
DEMO_STORE = Path("demo-store")
Store = Annotated[
    Path,
    typer.Option("--store", help="Folder of the demo's store.", callback=options.local_folder),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo")(demo)


def demo(
    store: Store = DEMO_STORE,
    workers: options.Workers = options.DEFAULT_WORKERS,
    dry_run: options.DryRun = False,
    log: options.Log = None,
) -> None:
    """Render all 175 sets of five synthetic datasets, embed them twice, evaluate, show mCE.

    The images are computed, not taken from people: the numbers show that the pipeline works and
    say nothing about medicine. Every other command works on the store it leaves.
    """
    from pipeline.cli.build import targets
    from pipeline.cli.choices import unique
    from pipeline.cli.evaluate import evaluate
    from pipeline.cli.execution import Resources, execute, show_plan
    from pipeline.cli.sealed_inputs import train_splits
    from pipeline.cli.study import Study
    from pipeline.plan import make_plan
    from pipeline.store import Store as Opened

    started = time.perf_counter()
    opened = Opened.open(store)
    study = Study(opened)
    run = study.run(RUN)
    images = targets(study, "all", RUN, [], None, [], [])
    sets = [node for node in images if node.recipe.stage == "corruptions"]
    clean = [study.split(name, "test") for name in run.datasets]
    embeddings = [
        study.embedding(encoder, node)
        for encoder in run.encoders
        for node in unique(iter([*sets, *clean, *train_splits(study, encoder, sets, [], [])]))
    ]
    plan = make_plan(opened, [*images, *embeddings])
    if dry_run:
        show_plan(opened, plan, as_json=False)
        return
    execute(opened, plan, Resources(workers, log=log))
    for encoder in run.encoders:
        study.pin_encoder(encoder)
    evaluate(store=store, run=RUN, workers=workers, log=log)
    say(f"finished in {time.perf_counter() - started:.1f} s")
    show(
        f"\n{len(sets)} sets of synthetic images, their embeddings and results lie in {store}\n"
        f"  what is there:   pipeline status --store {store}\n"
        f"  results as JSON: pipeline eval --run {RUN} --store {store} --json\n"
        f"  check it:        pipeline verify --store {store}"
    )
