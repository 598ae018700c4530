"""One evaluation: its systems, the artifacts made from them, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.options import listed
from pipeline.cli.output import SYNTHETIC, print_json, say, show, write_files, written
from pipeline.errors import MissingInputError

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.execution import Resources
    from pipeline.cli.study import Study
    from pipeline.cli.systems import Selection, Skipped, Systems
    from pipeline.unit import Node
    from stages.evaluate.predictions import System
    from stages.evaluate.systems import SystemInputs


@dataclass(frozen=True)
class Asked:
    """Options of `eval` and `report` as they were given."""

    run: str | None = None
    datasets: list[str] | None = None
    suite: str | None = None
    splits: list[str] | None = None
    encoders: list[str] | None = None
    protocols: list[str] | None = None
    baseline: str | None = None
    prompts: str | None = None
    only: list[str] | None = None
    few_shot: bool = False
    """Whether few-shot of the run belongs to it without having been named."""


def evaluation(study: Study, asked: Asked) -> Evaluation:
    """Return the evaluation that was asked for, its plan made and nothing of it run.

    Raises
    ------
    UsageError
        If a name is unknown.
    MissingInputError
        If something named explicitly is missing, or a collection of sets is partly there.
    """
    from pipeline.cli.choices import DEFAULT_RUN, default_suites, require_protocols
    from pipeline.cli.systems import Selection

    require_protocols(listed(asked.protocols))
    selection = Selection(
        run=study.run(asked.run or DEFAULT_RUN),
        datasets=tuple(study.dataset(name).id for name in listed(asked.datasets)),
        suites=tuple(default_suites(study, asked.suite, None)) if asked.suite else (),
        splits=tuple(listed(asked.splits)),
        encoders=tuple(study.encoder(name).id for name in listed(asked.encoders)),
        protocols=tuple(listed(asked.protocols)),
        prompts=asked.prompts,
        only=tuple(listed(asked.only)),
        named_run=asked.run is not None,
        few_shot=asked.few_shot,
    )
    chosen = study.encoder(asked.baseline or selection.run.baseline).id
    return Evaluation(study, selection, chosen, named_baseline=asked.baseline is not None)


class Evaluation:
    """One evaluation: its systems, the artifacts made from them, and how they are shown."""

    def __init__(
        self, study: Study, selection: Selection, baseline: str, *, named_baseline: bool
    ) -> None:
        from pipeline.cli.systems import Systems

        self.study = study
        self._systems = Systems(study, selection)
        self._baseline = baseline
        self.bootstrap = selection.run.bootstrap
        self._run = selection.run.id
        self.skipped = self._systems.skipped
        self.skipped += _without_baseline(study, self._systems, baseline, named=named_baseline)
        _require(self.skipped)
        self._results, self._summaries, self._comparisons = self._nodes()

    def dry_run(self, resources: Resources, *, as_json: bool) -> None:
        """Show what would be computed."""
        from pipeline.cli.execution import planned, show_plan

        store = self.study.store
        show_plan(store, planned(store, self._all_nodes, resources), as_json=as_json)

    def run(self, resources: Resources) -> bool:
        """Compute what is not sealed yet; return whether all is sealed then."""
        from pipeline.cli.execution import execute, is_whole, planned

        store, nodes = self.study.store, self._all_nodes
        execute(store, planned(store, nodes, resources), resources)
        return is_whole(store, nodes, resources)

    def show(self, *, as_json: bool) -> None:
        """Print the results: JSON, or the tables in the paper's layouts."""
        from stages.evaluate.columns import (
            COMPARISON_COLUMNS,
            RESULT_COLUMNS,
            SUMMARY_COLUMNS,
            ordered,
        )
        from stages.evaluate.few_shot_tables import few_shot_tables
        from stages.evaluate.measure_tables import comparison_tables, measure_tables
        from stages.evaluate.notes import condensed
        from stages.evaluate.tables import accuracy_tables, as_text, error_tables, is_few_shot

        results, summary, notes = self.results(), self.summary(), self.notes()
        if as_json:
            content: dict[str, Any] = {
                "baseline": self._baseline,
                "results": ordered(results, RESULT_COLUMNS),
                "summary": ordered(summary, SUMMARY_COLUMNS),
                "comparisons": ordered(self.comparisons(), COMPARISON_COLUMNS),
                "notes": [{"system": str(system), **note} for system, note in notes],
                "skipped": [
                    {
                        "what": one.what,
                        "where": one.where,
                        "reason": one.reason,
                        "command": one.command,
                    }
                    for one in self.skipped
                ],
            }
            print_json("eval", content)
            return
        whole = [row for row in results if not is_few_shot(row)]
        aggregates = [row for row in summary if not is_few_shot(row)]
        for table in accuracy_tables(whole, aggregates):
            show(as_text(table))
        for table in few_shot_tables(summary):
            show(as_text(table))
        for line in condensed(notes):
            show(f"note: {line}")
        if self._synthetic():
            show(SYNTHETIC)
        show("")
        more = [*measure_tables(aggregates), *comparison_tables(self.comparisons())]
        for table in (*more, *error_tables(aggregates)):
            show(as_text(table))
        for line in skipped_lines(self.skipped):
            say(line)

    def write(self, folder: Path) -> None:
        """Write all results, all of the summary and all comparisons as one Parquet file each."""
        write_files(folder, {folder / name: made for name, made in self.tables().items()})

    def append(self, folder: Path, name: str | None) -> None:
        """Add all results and aggregates to a leaderboard; without a name, under the run's."""
        from stages.evaluate.leaderboard import add

        with written(folder):
            add(folder, name or self._run, self._from(self._results), self._from(self._summaries))

    def tables(self) -> dict[str, bytes | memoryview]:
        """Return results, summary and comparisons as one Parquet file each, by name."""
        import pyarrow as pa

        from pipeline.tables import encode_table
        from stages.evaluate.columns import COMPARISON_COLUMNS, to_table

        made: dict[str, bytes | memoryview] = {}
        for name, nodes in (("results", self._results), ("summary", self._summaries)):
            tables = [self.study.store.artifact(node.recipe).index() for node in nodes]
            if tables:
                made[f"{name}.parquet"] = encode_table(pa.concat_tables(tables))
        if self._comparisons:
            rows = to_table(self.comparisons(), COMPARISON_COLUMNS)
            made["comparisons.parquet"] = encode_table(rows)
        return made

    @property
    def _all_nodes(self) -> list[Node]:
        return [*self._results, *self._summaries, *self._comparisons]

    def _nodes(self) -> tuple[list[Node], list[Node], list[Node]]:
        from stages.evaluate.comparison_stage import comparison_node
        from stages.evaluate.pairs import comparable
        from stages.evaluate.stage import prediction_nodes, result_nodes, summary_node

        found = self._systems.found
        made = {(one.system, one.draws): prediction_nodes(one) for one in found}
        results: list[Node] = []
        summaries: list[Node] = []
        for one in found:
            own = made[one.system, one.draws]
            against = made.get((one.system._replace(encoder=self._baseline), one.draws))
            results += result_nodes(one, self.bootstrap, own).values()
            summaries.append(summary_node(one, self._baseline, self.bootstrap, own, against))
        predictions = {one.system: made[one.system, one.draws] for one in found}
        several = {one.system: one.images.attributes["task"] == "multi-label" for one in found}
        comparisons = [
            comparison_node(
                pair, self._baseline, self.bootstrap, predictions, multi_label=several[pair[0]]
            )
            for pair in comparable(predictions)
        ]
        return results, summaries, comparisons

    def _rows(self, nodes: Sequence[Node]) -> list[dict[str, Any]]:
        store = self.study.store
        return [row for node in nodes for row in store.artifact(node.recipe).index().to_pylist()]

    def _from(self, nodes: Sequence[Node]) -> list[dict[str, Any]]:
        """Return the rows of artifacts, each with the content digest of its own."""
        found = []
        for node in nodes:
            artifact = self.study.store.artifact(node.recipe)
            digest = artifact.manifest.content_digest
            found += [{**row, "content_digest": digest} for row in artifact.index().to_pylist()]
        return found

    def results(self) -> list[dict[str, Any]]:
        """Return the rows of all results."""
        return self._rows(self._results)

    def summary(self) -> list[dict[str, Any]]:
        """Return the rows of all aggregates."""
        return self._rows(self._summaries)

    def comparisons(self) -> list[dict[str, Any]]:
        """Return the rows of all comparisons between encoders, p-values corrected over them."""
        from stages.evaluate.pairs import corrected

        return corrected(self._rows(self._comparisons))

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all results, aggregates and comparisons."""
        store = self.study.store
        return [store.artifact(node.recipe).manifest for node in self._all_nodes]

    def notes(self) -> list[tuple[System, dict[str, Any]]]:
        """Return what the numbers do not show, by system."""
        store = self.study.store
        return [
            (one.system, note)
            for one, node in zip(self._systems.found, self._summaries, strict=True)
            for note in store.artifact(node.recipe).attributes["notes"]
        ]

    @property
    def systems(self) -> Sequence[SystemInputs]:
        """What is evaluated."""
        return self._systems.found

    def require_systems(self) -> None:
        """Refuse an evaluation of nothing.

        Raises
        ------
        MissingInputError
            With what was left out first, and what would enable it.
        """
        if not self.systems:
            first = skipped_lines(self.skipped)[0].removeprefix("skipped: ")
            message = f"nothing is there to evaluate: {first}"
            raise MissingInputError(message)

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
    required = [one for one in skipped if one.required]
    if required:
        lines = [
            f"{one.what}{f' on {one.where}' if one.where else ''}: {one.reason}"
            + (f"; build it with: {one.command}" * bool(one.command))
            for one in required
        ]
        raise MissingInputError("\n".join(lines))
