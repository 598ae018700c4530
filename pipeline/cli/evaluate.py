"""``pipeline eval``: accuracies, CE and mCE from sealed embeddings alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import print_json, say, show, written

if TYPE_CHECKING:
    from pipeline.cli.execution import Resources
    from pipeline.cli.study import Study
    from pipeline.cli.systems import Selection, Skipped, Systems
    from pipeline.unit import Node
    from stages.evaluate.predictions import System

Encoders = Annotated[
    list[str] | None,
    typer.Option("--encoders", "--model", help="Encoders, comma-separated or repeated."),
]
Protocols = Annotated[
    list[str] | None,
    typer.Option("--protocols", help="zero-shot, linear-probe, prototype."),
]
Baseline = Annotated[
    str | None, typer.Option("--baseline", help="Encoder that errors are relative to.")
]
Prompts = Annotated[
    str | None, typer.Option("--prompts", help="Named set of class prompts for zero-shot.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for results.parquet and summary.parquet.")
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
    workers: options.Workers = options.DEFAULT_WORKERS,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Evaluate every protocol whose inputs are sealed; list what is skipped and how to enable it.

    Reads cached shards only: no network, no raw data, no encoder. Exits 4 when something named
    explicitly is missing or a selected collection of sets is only partly built or embedded.
    """
    from pipeline.cli.choices import DEFAULT_RUN, default_suites
    from pipeline.cli.embed import require_protocols
    from pipeline.cli.execution import Resources
    from pipeline.cli.study import Study
    from pipeline.cli.systems import Selection
    from pipeline.store import Store

    require_protocols(listed(protocols))
    study = Study(Store.open(store), manifests, seed=seed)
    selection = Selection(
        run=study.run(run or DEFAULT_RUN),
        datasets=tuple(study.dataset(name).id for name in listed(datasets)),
        suites=tuple(default_suites(study, suite, None)) if suite else (),
        splits=tuple(listed(splits)),
        encoders=tuple(study.encoder(name).id for name in listed(encoders)),
        protocols=tuple(listed(protocols)),
        prompts=prompts,
        only=tuple(listed(only)),
        named_run=run is not None,
    )
    chosen = study.encoder(baseline or selection.run.baseline).id
    resources = Resources(workers, log=log)
    request = _Request(study, selection, chosen, named_baseline=baseline is not None)
    if dry_run:
        request.dry_run(as_json=as_json)
        return
    request.run(resources)
    if out is not None:
        request.write(out)
    request.show(as_json=as_json)


class _Request:
    """One evaluation: its systems, the artifacts made from them, and how they are shown."""

    def __init__(
        self, study: Study, selection: Selection, baseline: str, *, named_baseline: bool
    ) -> None:
        from pipeline.cli.systems import Systems

        self._study = study
        self._systems = Systems(study, selection)
        self._baseline = baseline
        self._bootstrap = selection.run.bootstrap
        self._skipped = self._systems.skipped
        self._skipped += _without_baseline(study, self._systems, baseline, named=named_baseline)
        _require(self._skipped)
        self._results, self._summaries = self._nodes()

    def dry_run(self, *, as_json: bool) -> None:
        from pipeline.cli.execution import show_plan
        from pipeline.plan import make_plan

        plan = make_plan(self._study.store, [*self._results, *self._summaries])
        show_plan(self._study.store, plan, as_json=as_json)

    def run(self, resources: Resources) -> None:
        from pipeline.cli.execution import execute
        from pipeline.plan import make_plan

        store = self._study.store
        execute(store, make_plan(store, [*self._results, *self._summaries]), resources)

    def show(self, *, as_json: bool) -> None:
        """Print the results: JSON, or the tables in the paper's layouts."""
        from stages.evaluate.columns import (
            RESULT_COLUMNS,
            SUMMARY_COLUMNS,
            ordered,
        )
        from stages.evaluate.notes import condensed
        from stages.evaluate.tables import accuracy_tables, as_text, error_tables

        results = self._rows(self._results)
        summary = self._rows(self._summaries)
        notes = self._notes()
        if as_json:
            content: dict[str, Any] = {
                "baseline": self._baseline,
                "results": ordered(results, RESULT_COLUMNS),
                "summary": ordered(summary, SUMMARY_COLUMNS),
                "notes": [{"system": str(system), **note} for system, note in notes],
                "skipped": [
                    {
                        "what": one.what,
                        "where": one.where,
                        "reason": one.reason,
                        "command": one.command,
                    }
                    for one in self._skipped
                ],
            }
            print_json("eval", content)
            return
        for table in accuracy_tables(results, summary):
            show(as_text(table))
        for line in condensed(notes):
            show(f"note: {line}")
        if self._synthetic():
            show("note: the phantom datasets are synthetic images, not taken from people")
        show("")
        for table in error_tables(summary):
            show(as_text(table))
        for line in skipped_lines(self._skipped):
            say(line)

    def write(self, folder: Path) -> None:
        """Write all results and all of the summary as one Parquet file each."""
        import pyarrow as pa

        from pipeline.tables import encode_table

        for name, nodes in (("results", self._results), ("summary", self._summaries)):
            tables = [self._study.store.artifact(node.recipe).index() for node in nodes]
            if tables:
                table = pa.concat_tables(tables)
                with written(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / f"{name}.parquet").write_bytes(encode_table(table))

    def _nodes(self) -> tuple[list[Node], list[Node]]:
        from stages.evaluate.stage import (
            prediction_node,
            result_node,
            summary_node,
        )

        predictions = {one.system: prediction_node(one) for one in self._systems.found}
        results = [result_node(s, self._bootstrap, node) for s, node in predictions.items()]
        summaries = [
            summary_node(
                system,
                self._baseline,
                self._bootstrap,
                node,
                predictions.get(system._replace(encoder=self._baseline)),
            )
            for system, node in predictions.items()
        ]
        return results, summaries

    def _rows(self, nodes: Sequence[Node]) -> list[dict[str, Any]]:
        store = self._study.store
        return [row for node in nodes for row in store.artifact(node.recipe).index().to_pylist()]

    def _notes(self) -> list[tuple[System, dict[str, Any]]]:
        store = self._study.store
        return [
            (one.system, note)
            for one, node in zip(self._systems.found, self._summaries, strict=True)
            for note in store.artifact(node.recipe).attributes["notes"]
        ]

    def _synthetic(self) -> bool:
        return any(one.images.attributes["synthetic"] for one in self._systems.found)


def skipped_lines(skipped: Sequence[Skipped]) -> list[str]:
    """Return what was skipped as one line per thing and reason, however many splits it is on."""
    groups: dict[tuple[str, str], list[Skipped]] = {}
    for one in skipped:
        groups.setdefault((one.what, one.reason), []).append(one)
    lines = []
    for (what, reason), ones in groups.items():
        where = ", ".join(one.where for one in ones if one.where)
        command = ones[0].command
        more = f" (and {len(ones) - 1} more like it)" if len(ones) > 1 else ""
        enable = f"; to enable it: {command}{more}" if command else ""
        lines.append(f"skipped: {what}{f' on {where}' if where else ''}: {reason}{enable}")
    return lines


def _without_baseline(
    study: Study, systems: Systems, baseline: str, *, named: bool
) -> list[Skipped]:
    """Return the CE that cannot be had, once per dataset and protocol."""
    from pipeline.cli.systems import Skipped

    found = {one.system for one in systems.found}
    lacking = {
        (system.protocol, f"{system.suite}/{system.dataset}/{system.split}"): system
        for system in found
        if system._replace(encoder=baseline) not in found
    }
    return [
        Skipped(
            f"CE under {protocol}",
            where,
            f"the baseline {baseline} is not embedded for it",
            f"pipeline embed --model {baseline} --datasets {system.dataset} "
            f"--protocols {system.protocol} {study.options}",
            required=named,
        )
        for (protocol, where), system in sorted(lacking.items())
    ]


def _require(skipped: Sequence[Skipped]) -> None:
    from pipeline.errors import MissingInputError

    required = [one for one in skipped if one.required]
    if required:
        lines = [
            f"{one.what} on {one.where}: {one.reason}"
            + (f"; build it with: {one.command}" * bool(one.command))
            for one in required
        ]
        raise MissingInputError("\n".join(lines))
