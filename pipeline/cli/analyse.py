"""``pipeline analyse``: DCT spectra and grey-level densities of sealed sets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import ProgressDisplay, print_json, print_table, say, written

if TYPE_CHECKING:
    from pipeline.cli.sealed_sets import Group
    from pipeline.cli.study import Study
    from pipeline.store import Store
    from pipeline.unit import Node
    from stages.analyse.measure import Analysed, AnalysedSet, Measured

TARGETS = ("spectra", "densities", "all")
CLEAN = "clean"
DEFAULT_OUT = Path("analysis")
Target = Annotated[str, typer.Argument(help="spectra, densities or all", metavar="TARGET")]
Out = Annotated[Path, typer.Option("--out", help="Folder for tables and figures.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("analyse")(analyse)


def analyse(
    target: Target = "all",
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    only: options.Only = None,
    seed: options.Seed = 0,
    out: Out = DEFAULT_OUT,
    workers: options.Workers = options.DEFAULT_WORKERS,
    as_json: options.AsJson = False,
) -> None:
    """Compare the pixels of sealed sets with their clean splits: spectra and densities.

    Writes Parquet tables and PNG figures: mean DCT spectra of the luminance by frequency, and how
    often each grey level occurs. Reads sealed sets only; exits 4 and says what to build where a
    selected set is missing.
    """
    from pipeline.cli.sealed_sets import sealed_groups
    from pipeline.cli.study import Study
    from pipeline.manifest import unknown_name
    from pipeline.store import Store

    if target not in TARGETS:
        raise unknown_name("target", target, TARGETS)
    measures = ("spectra", "densities") if target == "all" else (target,)
    study = Study(Store.open(store), manifests, seed=seed)
    groups = sealed_groups(study, suite, listed(datasets), listed(splits), listed(only))
    analysed = _analysed(study, groups, measures, workers)
    files = _write(analysed, measures, out)
    _show(analysed, files, as_json=as_json)


def _analysed(
    study: Study, groups: Sequence[Group], measures: Sequence[str], workers: int
) -> list[Analysed]:
    """Measure every set once, and put each beside its clean split."""
    from pipeline.cli.choices import unique
    from stages.analyse.measure import Analysed

    nodes = unique(node for group in groups for node in (group.clean, *group.sets))
    measured = dict(_measured(study.store, nodes, measures, workers))

    def one(group: Group, node: Node) -> AnalysedSet:
        return _named(study.store, group, node, measured[node.recipe.key])

    return [
        Analysed(one(group, group.clean), tuple(one(group, node) for node in group.sets))
        for group in groups
    ]


def _measured(
    store: Store, nodes: Sequence[Node], measures: Sequence[str], workers: int
) -> Iterator[tuple[str, Measured]]:
    """Yield what was measured of each node by recipe key, several sets at the same time."""
    from pipeline.events import RunFinished, RunStarted, UnitFinished
    from stages.analyse.measure import measure

    # Damaged ones are refused before anything is measured.
    artifacts = [(node, store.artifact(node.recipe)) for node in nodes]
    display, started = ProgressDisplay(), time.perf_counter()
    total = sum(artifact.manifest.nbytes for _, artifact in artifacts)
    display(RunStarted(len(nodes), total, workers))
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [
            (node, artifact, pool.submit(measure, artifact.array("images"), measures))
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


def _named(store: Store, group: Group, node: Node, measured: Measured) -> AnalysedSet:
    from stages.analyse.measure import AnalysedSet

    clean = node is group.clean
    parameters = node.recipe.parameters
    return AnalysedSet(
        suite=group.suite,
        dataset=str(parameters["dataset"]),
        split=str(parameters["split"]),
        corruption=CLEAN if clean else str(parameters["corruption"]),
        severity=0 if clean else int(str(parameters["severity"])),
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
    for name, content in made:
        with written(out / name):
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
    return [out / name for name, _ in made]


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
        say("note: the phantom datasets are synthetic images, not taken from people")
    for path in files:
        say(f"written: {path}")


def _cells(row: dict[str, Any], names: Sequence[str], values: Sequence[str]) -> list[str]:
    signed = {"low", "middle", "high"}
    numbers = [f"{row[name]:{'+.3f' if name in signed else '.2f'}}" for name in values]
    return [*(str(row[name]) for name in names), *numbers]
