"""From targets to a finished run: plan, show or build, and tell how it went."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifact import Manifest
from pipeline.cli.graphs import tell_graph
from pipeline.cli.output import print_json, print_table, say, show, size, written
from pipeline.cli.progress import RunProgress
from pipeline.errors import VerificationError
from pipeline.events import Event, EventLog, Listener
from pipeline.footprint import footprint
from pipeline.parts import Part
from pipeline.plan import Plan, make_plan
from pipeline.store import Store
from pipeline.unit import Node, Unit

if TYPE_CHECKING:
    import typer

    from pipeline.runner import Runner


_ESTIMATED_FROM = 250
"""Fewest sealed artifacts of a stage, where there are more, that say how long it takes."""


@dataclass(frozen=True)
class Resources:
    """How a run is carried out; nothing here changes what it makes."""

    workers: int
    wait: bool = True
    log: Path | None = None
    runner: Runner | None = None
    """What carries it out, by default threads of this process."""
    part: Part | None = None
    """What of the units is done, by default all."""


def build(
    store: Store, targets: Sequence[Node], resources: Resources, *, dry_run: bool, as_json: bool
) -> None:
    """Build what is missing of `targets`, or show it."""
    plan = planned(store, targets, resources)
    if dry_run:
        show_plan(store, plan, as_json=as_json)
        return
    done = execute(store, plan, resources)
    if as_json:
        content = {"sealed_before": plan.sealed, "artifacts": len(plan.steps), "units": done}
        print_json("build", content)


def runner_on(
    scheduler: str | None,
    context: typer.Context,
    manifests: Path | None,
    device: str | None = None,
    needs: Callable[[Unit], Mapping[str, float]] | None = None,
) -> Runner | None:
    """Return what carries out a plan where `--scheduler` says; None for threads of this process.

    Raises
    ------
    UsageError
        If it names no scheduler.
    """
    if scheduler is None:
        return None
    from pipeline.cli.cluster import OnCluster, nothing_needed
    from pipeline.cli.devices import repeated
    from pipeline.cli.schedulers import require_scheduler

    require_scheduler(scheduler)
    arguments = repeated(context) + ([f"--device={device}"] if device else [])
    return OnCluster(scheduler, tuple(arguments), manifests, needs or nothing_needed)


def planned(store: Store, targets: Sequence[Node], resources: Resources) -> Plan:
    """Return what is missing of `targets`, as far as this process is to build it."""
    tell_graph(store, targets)
    plan = make_plan(store, targets)
    return plan if resources.part is None else resources.part.of(plan, targets)


def is_whole(store: Store, targets: Sequence[Node], resources: Resources) -> bool:
    """Return whether all of `targets` are sealed, saying so if a part of the units was done.

    Without parts they are, or what failed has been told.
    """
    if resources.part is None:
        return True
    lacking = sum(store.sealed(node.recipe) is None for node in targets)
    if lacking:
        say(
            f"part {resources.part} is done; {lacking} of {len(targets)} artifacts are sealed once "
            "the other parts are"
        )
    return not lacking


def part_of(text: str | None) -> Part | None:
    """Return the part that the option names, if it is given."""
    return None if text is None else Part.parse(text)


def execute(store: Store, plan: Plan, resources: Resources) -> int:
    """Run a plan with progress and log; return how many units were done.

    Raises
    ------
    PipelineError
        Telling every distinct failure, if units failed.
    """
    if not plan.steps:
        store.sweep()
        say(f"nothing to do: {plan.sealed} artifacts are sealed already")
        return 0
    from pipeline.runner import Manner, run  # pyarrow is for runs that do something

    carry_out = resources.runner or run
    display = RunProgress()
    listeners: list[Listener] = [display]
    log = _open_log(resources.log)
    if log is not None:
        listeners.append(log)
    try:
        outcome = carry_out(store, plan, Manner(resources.workers, listeners, resources.wait))
    finally:
        display.close()
        if log is not None:
            log.close()
    outcome.raise_failures()
    return outcome.done


def show_plan(store: Store, plan: Plan, *, as_json: bool) -> None:
    """Print what a plan would do: artifacts with reasons, rows and bytes, files, time."""
    units: list[dict[str, Any]] = [
        {
            "stage": step.node.recipe.stage,
            "name": step.node.recipe.name,
            "recipe_key": step.node.recipe.key,
            "reason": step.reason,
            "shards": len(step.units),
            "rows": step.rows,
            "bytes": step.nbytes,
        }
        for step in plan.steps
    ]
    seconds = estimate_seconds(store, plan)
    taken = footprint(store, plan)
    if as_json:
        totals: dict[str, Any] = {
            "bytes": plan.nbytes,
            "files": taken.files,
            "inodes": taken.inodes,
            "longest_path": {"bytes": taken.longest_bytes, "path": taken.longest_path},
            "seconds": seconds,
            "sealed": plan.sealed,
        }
        print_json("plan", {"units": units, **totals})
        return
    if not units:
        show(f"nothing to do: {plan.sealed} artifacts are sealed already")
        return
    headings = ("artifact", "rows", "bytes", "reason")
    print_table(
        headings,
        [
            (f"{u['stage']}/{u['name']}", str(u["rows"]), size(u["bytes"]), u["reason"])
            for u in units
        ],
    )
    estimate = "" if seconds is None else f", about {seconds:.0f} s of one core"
    show(
        f"{len(units)} artifacts to build, {size(plan.nbytes)}{estimate}; {plan.sealed} are sealed"
    )
    show(f"about {taken.files} files, {taken.inodes} inodes with their folders")
    show(f"longest path: {taken.longest_bytes} bytes ({taken.longest_path})")


def estimate_seconds(store: Store, plan: Plan) -> float | None:
    """Return the core-seconds a plan will take, from what its stages took in this store.

    None where the store has nothing of a stage to go by.
    """
    wanted = {step.node.recipe.stage for step in plan.steps}
    if not wanted:
        return 0.0
    spent: dict[str, list[float]] = {}
    for stage in sorted(wanted):
        for manifest in _some_of(store, stage):
            total = spent.setdefault(stage, [0.0, 0.0])
            total[0] += float(manifest.document["provenance"]["seconds"])
            total[1] += manifest.rows
    if wanted - spent.keys():
        return None
    rates = {stage: seconds / max(rows, 1) for stage, (seconds, rows) in spent.items()}
    return round(sum(rates[step.node.recipe.stage] * step.rows for step in plan.steps), 1)


def _some_of(store: Store, stage: str) -> Iterator[Manifest]:
    """Yield manifests of a stage, of many a few hundred from everywhere among them."""
    folders = list(store.artifact_folders(store.root / stage))
    for folder in folders[:: max(1, len(folders) // _ESTIMATED_FROM)]:
        with contextlib.suppress(FileNotFoundError, VerificationError):
            yield Manifest.read(folder, exact=False)


class _Log:
    """A log that a run goes on without once it can no longer be written."""

    def __init__(self, path: Path) -> None:
        self._log = EventLog(path)
        self._path = path
        self._whole = True

    def __call__(self, event: Event) -> None:
        if self._whole:
            try:
                self._log(event)
            except OSError as error:
                self._whole = False
                say(f"the log ends here: {self._path}: {error.strerror}")

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # a full disk has been told of already
            self._log.close()


def _open_log(path: Path | None) -> _Log | None:
    """Open the named log, or one in the user's state folder if that can be written."""
    if path is not None:
        with written(path):
            return _Log(path)
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = dt.datetime.now(tz=dt.UTC).strftime("%Y%m%dT%H%M%S.%f")
    try:
        return _Log(state / "medshards" / f"{name}-{os.getpid()}.jsonl")
    except OSError as error:
        say(f"no log is written: {error}")
        return None
