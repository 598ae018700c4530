"""``pipeline retrieval``: images and prompts brought together, from sealed embeddings alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.evaluate import Encoders
from pipeline.cli.options import listed
from pipeline.cli.output import print_json, print_table, say, write_files

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.study import Study
    from pipeline.unit import Node
    from stages.evaluate.schema import Bootstrap

Selectors = Annotated[
    list[str] | None,
    typer.Argument(help="Prompts, such as 'fixed/kvasir/test'.", metavar="[SELECTOR]..."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Parquet file for all rows.")]
SHOWN = ("similarity", "recall@1", "recall@10", "bleu")
"""Metrics of the table on the terminal; the rest is in --json and --out."""
LEGEND = (
    "All times 100; in brackets the bootstrap interval of one set, behind the stroke what chance "
    "gives. Preference: how often the true prompt is nearer than the changed one."
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("retrieval")(retrieval)


def retrieval(
    selectors: Selectors = None,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    encoders: Encoders = None,
    suite: options.Suite = None,
    run: options.Run = None,
    seed: options.Seed = 0,
    out: Out = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Measure which prompts an encoder finds for an image, and which changed words it notices.

    For each design: recall and reciprocal rank in both directions, BLEU and attributes of the
    nearest prompt, each beside what chance gives; for each changed attribute: how often the true
    prompt is nearer. On clean images and on every corrupted set that is embedded. Prompts and
    images are embedded with `pipeline embed --prompts SELECTOR --datasets NAME`.
    """
    from pipeline.cli.choices import DEFAULT_RUN
    from pipeline.cli.execution import Resources, execute, show_plan
    from pipeline.cli.study import Study
    from pipeline.plan import make_plan
    from pipeline.store import Store

    study = Study(Store.open(store), manifests, seed=seed)
    bootstrap = study.run(run or DEFAULT_RUN).bootstrap
    nodes = retrieval_nodes(study, selectors or [], listed(encoders), suite, bootstrap)
    plan = make_plan(study.store, nodes)
    if dry_run:
        show_plan(study.store, plan, as_json=as_json)
        return
    execute(study.store, plan, Resources(workers, log=log))
    tables = [study.store.artifact(node.recipe).index() for node in nodes]
    if out is not None:
        import pyarrow as pa

        from pipeline.tables import encode_table

        write_files(out, {out: encode_table(pa.concat_tables(tables))})
    rows = [row for table in tables for row in table.to_pylist()]
    if as_json:
        print_json("retrieval", {"rows": rows})
        return
    _show(rows)


def retrieval_nodes(
    study: Study,
    selectors: Sequence[str],
    encoders: Sequence[str],
    suite: str | None,
    bootstrap: Bootstrap,
) -> list[Node]:
    """Return the retrieval of every selected prompts, encoder and corruption that is embedded.

    Raises
    ------
    MissingInputError
        If prompts are not built or not embedded, or the images are not.
    UsageError
        If a name is unknown.
    """
    from pipeline.cli.sealed_inputs import sealed_prompts
    from pipeline.errors import MissingInputError

    if suite:
        study.suite(suite)
    names = [study.encoder(name).id for name in encoders]
    found: list[Node] = []
    missing: list[str] = []
    for prompts in sealed_prompts(study, selectors or ["*"]):
        for encoder in names or study.embedded_encoders():
            if study.encoder(encoder).kind == "vision-only":
                continue
            nodes = list(_of(study, prompts, encoder, suite, bootstrap))
            found += nodes
            if not nodes:
                dataset = prompts.name.split("/")[1]
                missing.append(
                    f"{encoder} on {prompts.name}: not embedded; embed it with: pipeline embed "
                    f"--model {encoder} --prompts {prompts.name} --datasets {dataset} "
                    f"{study.options}"
                )
    if missing and (names or not found):
        raise MissingInputError("\n".join(missing))
    if not found:
        message = (
            "no vision-language encoder has embedded prompts: embed them first with "
            f"`pipeline embed --model NAME --prompts '*' --datasets NAME {study.options}`"
        )
        raise MissingInputError(message)
    return found


def _of(
    study: Study,
    prompts: Manifest,
    encoder: str,
    suite: str | None,
    bootstrap: Bootstrap,
) -> Iterator[Node]:
    """Yield one node per corruption of which every set is embedded, the clean split first."""
    from pipeline.errors import MissingInputError
    from pipeline.plan import sealed_node
    from stages.evaluate.retrieval.stage import MatchedSet, retrieval_node
    from stages.vocabulary import CLEAN

    rules, dataset, split = prompts.name.split("/")
    images = study.split(dataset, split)
    try:
        texts = study.prompt_row_embeddings(encoder, prompts)
        clean = study.embedding(encoder, images)
    except MissingInputError:
        return
    store = study.store
    if not (store.sealed(texts.recipe) and store.sealed(clean.recipe)):
        return
    sources = {"images": images, "prompts": sealed_node(prompts), "texts": texts}
    only = [MatchedSet(None, CLEAN, 0, clean)]
    yield retrieval_node(encoder, rules, sources, only, bootstrap)
    present = [name for name in study.suites_present() if study.covers(name, dataset)]
    for name in [suite] if suite else present:
        for corruption, sets in _by_corruption(study, name, dataset, split).items():
            matched = [
                MatchedSet(name, corruption, severity, study.embedding(encoder, node))
                for severity, node in sets
            ]
            if all(store.sealed(one.embeddings.recipe) for one in matched):
                yield retrieval_node(encoder, rules, sources, matched, bootstrap)


def _by_corruption(
    study: Study, suite: str, dataset: str, split: str
) -> dict[str, list[tuple[int, Node]]]:
    """Return the sealed sets of a suite by corruption, with their severities."""
    from pipeline.cli.choices import corruption_of

    found: dict[str, list[tuple[int, Node]]] = {}
    for node in study.sets(suite, dataset, split):
        if study.store.sealed(node.recipe):
            corruption, severity = corruption_of(node)
            found.setdefault(corruption, []).append((severity, node))
    return found


def retrieval_tables(
    rows: Sequence[dict[str, Any]],
) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Return headings and cells by name: `designs`, and `changes` where something was changed.

    A line per design: clean, then the mean over the corrupted sets of each suite.
    """
    lines: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        if row["attribute"] is None or row["metric"] == "preference":
            key = tuple(str(row[name]) for name in ("encoder", "rules", "dataset", "split"))
            on = row["suite"] or row["corruption"]
            cells = lines.setdefault((*key, on, row["design"]), {})
            cells.setdefault(row["metric"], []).append(row)
    heads = ("encoder", "rules", "dataset", "split", "on", "design")
    tables = {}
    for name, first, shown in (
        ("designs", "similarity", SHOWN),
        ("changes", "preference", ("preference", "similarity_drop")),
    ):
        cells_of = [
            (*key, *(_cell(cells.get(metric, [])) for metric in shown), str(len(cells[first])))
            for key, cells in lines.items()
            if first in cells
        ]
        if cells_of:
            readable = (metric.replace("_", " ") for metric in shown)
            tables[name] = ((*heads, *readable, "sets"), cells_of)
    return tables


def _show(rows: Sequence[dict[str, Any]]) -> None:
    for headings, cells in retrieval_tables(rows).values():
        print_table(headings, cells)
    say(LEGEND)


def _cell(rows: Sequence[dict[str, Any]]) -> str:
    """Return the mean over sets, with the interval where there is one set only."""
    if not rows:
        return ""
    text = f"{100 * sum(row['value'] for row in rows) / len(rows):.1f}"
    (first, *others) = rows
    if not others and first["ci_low"] is not None:
        text += f" [{100 * first['ci_low']:.1f}, {100 * first['ci_high']:.1f}]"
    if first["chance"] is None:
        return text
    return f"{text} / {100 * sum(row['chance'] for row in rows) / len(rows):.1f}"
