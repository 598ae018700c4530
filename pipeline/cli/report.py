"""``pipeline report``: one page, its figures and its tables, from sealed artifacts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.evaluate import Baseline, Encoders, Prompts, Protocols
from pipeline.cli.output import print_json, say, show, written

Out = Annotated[Path, typer.Option("--out", help="Folder of the report; replaces an earlier one.")]
Images = Annotated[
    int, typer.Option("--images", min=1, help="Images of a set that spectra and densities measure.")
]
Compare = Annotated[
    Path | None,
    typer.Option("--compare", help="Folder of a leaderboard (`eval --append`) to show beside it."),
]
DEFAULT_OUT = Path("report")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("report")(report)


def report(
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
    out: Out = DEFAULT_OUT,
    images: Images = 200,
    compare: Compare = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Write a page that says which encoder is most robust, to what, and how sure that is.

    Evaluates what is sealed and not evaluated yet, few-shot of the run included, then writes
    OUT/index.html, which needs nothing else, and the same figures (PNG, SVG) and tables (CSV,
    LaTeX, Parquet) beside it.
    """
    from pipeline.cli.evaluation import Asked, evaluation
    from pipeline.cli.execution import Resources
    from pipeline.cli.report_page import report_page
    from pipeline.cli.study import Study
    from pipeline.store import Store
    from stages.report.files import require_replaceable, write_report

    require_replaceable(out)
    study = Study(Store.open(store), manifests, seed=seed)
    asked = Asked(
        *(run, datasets, suite, splits, encoders, protocols, baseline, prompts, only),
        few_shot=True,
    )
    found = evaluation(study, asked)
    found.require_systems()
    found.run(Resources(workers, log=log))
    page = report_page(found, images, workers, compare)
    with written(out):
        files = write_report(page, out, found.tables())
    if as_json:
        names = [str(path) for path in files]
        print_json("report", {"page": str(out / "index.html"), "files": names})
        return
    say(f"{len(files)} files in {out}")
    show(str(out / "index.html"))
