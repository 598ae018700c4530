"""``pipeline analyse``: spectra, grey levels and embedding shifts of sealed sets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import (
    SYNTHETIC,
    print_json,
    print_table,
    say,
    write_files,
)
from pipeline.cli.progress import RunProgress
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.artifact import Artifact
    from pipeline.cli.sealed_sets import Group
    from pipeline.cli.study import Study
    from pipeline.shards import ShardedArray
    from pipeline.store import Store
    from pipeline.unit import Node
    from stages.analyse.measure import Analysed, AnalysedSet, Measured

SHIFT = "shift"
TARGETS = ("spectra", "densities", SHIFT, "all")
DEFAULT_OUT = Path("analysis")
Target = Annotated[
    str,
    typer.Argument(
        help="spectra, densities, all (both of pixels) or shift (of embeddings).", metavar="TARGET"
    ),
]
Model = Annotated[
    list[str] | None,
    typer.Option("--model", help="Encoders of shift. [default: all with sealed embeddings]"),
]
Projection = Annotated[
    str | None, typer.Option("--projection", help="Of shift: tsne, pca or none. [default: tsne]")
]
Points = Annotated[
    int | None,
    typer.Option("--points", min=10, help="Of shift: most points projected. [default: 2000]"),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for tables and figures.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("analyse")(analyse)


def analyse(
    target: Target = "all",
    model: Model = None,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    only: options.Only = None,
    seed: options.Seed = 0,
    projection: Projection = None,
    points: Points = None,
    out: Out = DEFAULT_OUT,
    workers: options.Workers = options.DEFAULT_WORKERS,
    as_json: options.AsJson = False,
) -> None:
    """Compare sealed sets with their clean splits: spectra and densities, or embedding shifts.

    Writes Parquet tables and PNG figures: mean DCT spectra of the luminance by frequency, and how
    often each grey level occurs; of shift, how far embeddings move, from sealed embeddings alone.
    Exits 4 and says what to build or embed where something selected is missing.
    """
    from pipeline.cli.sealed_sets import sealed_groups
    from pipeline.cli.study import Study
    from pipeline.manifest import require_known
    from pipeline.store import Store

    require_known("target", target, TARGETS)
    study = Study(Store.open(store), manifests, seed=seed)
    if target == SHIFT:
        from pipeline.cli.analyse_shift import Drawn, analyse_shift
        from pipeline.cli.embedded_sets import Selection

        chosen = Selection(
            tuple(listed(model)),
            suite,
            tuple(listed(datasets)),
            tuple(listed(splits)),
            tuple(listed(only)),
        )
        drawn = Drawn.asked(projection, points)
        analyse_shift(study, chosen, drawn, out, workers, as_json=as_json)
        return
    if model or projection or points:
        message = f"--model, --projection and --points are of `pipeline analyse {SHIFT}`"
        raise UsageError(message)
    measures = ("spectra", "densities") if target == "all" else (target,)
    groups = sealed_groups(study, suite, listed(datasets), listed(splits), listed(only))
    found = analysed(study, groups, measures, workers)
    files = _write(found, measures, out)
    _show(found, files, as_json=as_json)


def analysed(
    study: Study,
    groups: Sequence[Group],
    measures: Sequence[str],
    workers: int,
    images: int | None = None,
) -> list[Analysed]:
    """Measure every set once, or its first `images`, and put each beside its clean split."""
    from pipeline.cli.choices import unique
    from stages.analyse.measure import Analysed

    nodes = unique(node for group in groups for node in (group.clean, *group.sets))
    measured = dict(_measured(study.store, nodes, measures, workers, images))

    def one(group: Group, node: Node) -> AnalysedSet:
        return _named(study.store, group, node, measured[node.recipe.key])

    return [
        Analysed(one(group, group.clean), tuple(one(group, node) for node in group.sets))
        for group in groups
    ]


def _measured(
    store: Store,
    nodes: Sequence[Node],
    measures: Sequence[str],
    workers: int,
    images: int | None,
) -> Iterator[tuple[str, Measured]]:
    """Yield what was measured of each node by recipe key, several sets at the same time."""
    from pipeline.events import RunFinished, RunStarted, UnitFinished
    from stages.analyse.measure import measure

    # Damaged ones are refused before anything is measured.
    artifacts = [(node, store.artifact(node.recipe)) for node in nodes]
    display, started = RunProgress(), time.perf_counter()
    total = sum(artifact.manifest.nbytes for _, artifact in artifacts)
    display(RunStarted(len(nodes), total, workers))
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [
            (node, artifact, pool.submit(measure, _first(artifact, images), measures))
            for node, artifact in artifacts
        ]
        for node, artifact, future in futures:
            yield node.recipe.key, future.result()
            nbytes = artifact.manifest.nbytes
            display(UnitFinished(node.recipe.label, 0, len(artifact), nbytes, 0.0))
        display(RunFinished(len(nodes), 0, time.perf_counter() - started))
    finally:
        pool.shutdown(cancel_futures=True)
        display.close()


def _first(artifact: Artifact, images: int | None) -> ShardedArray | NDArray[np.uint8]:
    every = artifact.array("images")
    return every if images is None else every[:images]


def _named(store: Store, group: Group, node: Node, measured: Measured) -> AnalysedSet:
    from pipeline.cli.choices import corruption_of
    from stages.analyse.measure import AnalysedSet

    parameters = node.recipe.parameters
    corruption, severity = corruption_of(node)
    return AnalysedSet(
        suite=group.suite,
        dataset=str(parameters["dataset"]),
        split=str(parameters["split"]),
        corruption=corruption,
        severity=severity,
        synthetic=bool(node.attributes.get("synthetic")),
        content_digest=store.artifact(node.recipe).manifest.content_digest,
        measured=measured,
    )


def _write(analysed: Sequence[Analysed], measures: Sequence[str], out: Path) -> list[Path]:
    """Write tables of all and figures of each suite; return their paths."""
    from pipeline.tables import encode_table
    from stages.analyse import figures, tables

    made: list[tuple[str, bytes | memoryview]] = []
    suites: dict[str, list[Analysed]] = {}
    for group in analysed:
        suites.setdefault(group.clean.suite, []).append(group)
    if "spectra" in measures:
        made.append(("spectra.parquet", encode_table(tables.spectrum_table(analysed))))
        made.append(("spectra_2d.parquet", encode_table(tables.map_table(analysed))))
        for suite, groups in suites.items():
            made.append((f"{suite}-spectra.png", figures.profile_figure(suite, groups)))
            made.append((f"{suite}-spectra-2d.png", figures.map_figure(suite, groups)))
    if "densities" in measures:
        made.append(("densities.parquet", encode_table(tables.density_table(analysed))))
        for suite, groups in suites.items():
            made.append((f"{suite}-densities.png", figures.density_figure(suite, groups)))
    return write_files(out, {out / name: content for name, content in made})


def _show(analysed: Sequence[Analysed], files: Sequence[Path], *, as_json: bool) -> None:
    from stages.analyse.tables import summary

    rows = summary(analysed)
    if as_json:
        print_json("analyse", {"sets": rows, "files": [str(path) for path in files]})
        return
    values = [
        name for name in ("low", "middle", "high", "mean_level", "distance") if name in rows[0]
    ]
    names = ("suite", "dataset", "split", "corruption", "severity", "n")
    print_table((*names, *values), [_cells(row, names, values) for row in rows])
    if "low" in values:
        say(
            "low, middle, high: mean log10(1 + |X|) of the DCT up to 1/8, 1/4 and above, less clean"
        )
    if "distance" in values:
        say("mean_level, distance from clean (earth mover's): in grey levels")
    if any(row["synthetic"] for row in rows):
        say(SYNTHETIC)
    for path in files:
        say(f"written: {path}")


def _cells(row: dict[str, Any], names: Sequence[str], values: Sequence[str]) -> list[str]:
    signed = {"low", "middle", "high"}
    numbers = [f"{row[name]:{'+.3f' if name in signed else '.2f'}}" for name in values]
    return [*(str(row[name]) for name in names), *numbers]
