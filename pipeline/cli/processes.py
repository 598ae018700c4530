"""A plan carried out by several processes, one per device, over disjoint units.

The parent loads no model: it deals the units out in the order of the plan, starts the processes and
passes on what they tell. `pipeline.cli.share` is their side, and says how the two speak.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cli.output import say
from pipeline.cli.share import UnitKey, told_event, unit_key, units_of
from pipeline.errors import PipelineError, error_of
from pipeline.events import Event, Listener, RunFinished, RunStarted, UnitFinished
from pipeline.plan import Plan, Step
from pipeline.runner import Failure, Manner, Outcome, run
from pipeline.store import Store
from pipeline.unit import Unit


@dataclass
class Processes:
    """Carries out plans with one process per device.

    A process that dies costs the units it had begun: the others take its share over.
    """

    commands: Sequence[tuple[str, Sequence[str]]]
    """Device, and the arguments of `pipeline` that make a process build a share on it."""
    environment: Mapping[str, str]
    """Variables that the processes get beside this one's, where this one has none of the name."""

    def run(self, store: Store, plan: Plan, manner: Manner) -> Outcome:
        """Build what a plan lists, like `pipeline.runner.run`; inputs are built here, first.

        Raises
        ------
        PipelineError
            What stopped a process as a whole, such as `HeldError` or `StoreError`.
        InterruptedRunError
            When asked to stop, after the processes have published their running units.
        """
        needed = {source.key for s in plan.steps for source in s.node.recipe.inputs.values()}
        before = [step for step in plan.steps if step.node.recipe.key in needed]
        outcome = Outcome()
        if before:
            outcome = run(store, Plan(tuple(before), plan.sealed), manner)
        built = {step.node.recipe.key: step.node.recipe for step in before}
        lacking = {key for key, recipe in built.items() if store.sealed(recipe) is None}
        shared: list[Step] = []
        for step in plan.steps:
            if step.node.recipe.key not in needed:
                inputs = {source.key for source in step.node.recipe.inputs.values()}
                (outcome.blocked if inputs & lacking else shared).append(step)
        if shared:
            _Shared(self, store, shared, manner.listeners, outcome).execute()
        return outcome

    @contextlib.contextmanager
    def started(self, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Start a process and see its end."""
        # The package of this process, wherever it is run from.
        place = str(Path(__file__).parents[2])
        path = os.pathsep.join([place, *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(  # noqa: S603 - this program, with its own arguments
            [sys.executable, "-P", "-m", "pipeline", *arguments],
            env={**self.environment, **os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # a terminal interrupts this process alone, which tells them
        )
        try:
            yield process
        finally:
            _end(process)


@dataclass
class _Share:
    """What one process does in a round."""

    device: str
    arguments: Sequence[str]
    units: list[Unit]
    process: subprocess.Popen[str] | None = None
    gave_up: bool = False
    """Whether it told why it stopped."""

    @property
    def fate(self) -> str:
        """How the process ended, if not well; else nothing."""
        code = self.process.returncode if self.process else None
        if not code or self.gave_up:
            return ""
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


@dataclass
class _Shared:
    """The state of the part of a run that is shared; all happens in the calling thread."""

    processes: Processes
    store: Store
    steps: Sequence[Step]
    listeners: Sequence[Listener]
    outcome: Outcome
    told: queue.SimpleQueue[tuple[_Share, str | None]] = field(default_factory=queue.SimpleQueue)

    def execute(self) -> None:
        """Deal units, again for as long as a process dies and others live."""
        started = time.perf_counter()
        left = {unit_key(unit): unit for step in self.steps for unit in units_of(step)}
        able = list(self.processes.commands)
        nbytes = sum(step.nbytes for step in self.steps)
        self._tell(RunStarted(len(left), nbytes, len(able)))
        fates: list[str] = []
        while left and able:
            shares = _dealt(list(left.values()), able)
            self._round(shares, left)
            dead = [share for share in shares if share.fate]
            for share in dead:
                fates.append(f"the process on {share.device} {share.fate}")
                able.remove((share.device, share.arguments))
            if not dead:
                break
            say("; ".join(fates) + (": the others take over its units" if able and left else ""))
        self._settle(left, "; ".join(fates) or "no process built it")
        seconds = round(time.perf_counter() - started, 3)
        self._tell(RunFinished(self.outcome.done, len(self.outcome.failures), seconds))

    def _round(self, shares: Sequence[_Share], left: dict[UnitKey, Unit]) -> None:
        """Let every share be built, taking what is settled out of `left`."""
        with contextlib.ExitStack() as stack:
            try:
                for share in shares:
                    share.process = stack.enter_context(self.processes.started(share.arguments))
                for share in shares:
                    self._begin(share)
                self._listen(len(shares), left)
            except BaseException:
                for process in filter(None, (share.process for share in shares)):
                    process.terminate()  # all at once: each ends what it has begun
                raise

    def _begin(self, share: _Share) -> None:
        process = share.process
        if process is None or process.stdin is None:
            return
        threading.Thread(target=self._read, args=(share,), daemon=True).start()
        with contextlib.suppress(BrokenPipeError):  # it is over already, as will be told
            process.stdin.write(json.dumps([unit_key(unit) for unit in share.units]) + "\n")
            process.stdin.flush()

    def _read(self, share: _Share) -> None:
        """Pass on what a process tells, and None when it is over; runs in a thread."""
        process = share.process
        if process is not None and process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self.told.put((share, line))
        self.told.put((share, None))

    def _listen(self, running: int, left: dict[UnitKey, Unit]) -> None:
        """Take in what the processes tell until all are over."""
        ended: PipelineError | None = None
        while running:
            share, line = self.told.get()
            if line is None:
                running -= 1
                continue
            try:
                ((key, content),) = json.loads(line).items()
            except ValueError:  # cut short by the end of the process
                continue
            if key == "event":
                self._event(content, left)
            elif key == "failure":
                unit = left.pop((content["unit"][0], content["unit"][1]))
                self.outcome.failures.append(Failure(unit, error_of(content)))
            else:
                share.gave_up = True
                ended = ended or error_of(content)
        if ended is not None:
            raise ended

    def _event(self, content: dict[str, Any], left: dict[UnitKey, Unit]) -> None:
        event = told_event(content)
        if isinstance(event, (RunStarted, RunFinished)):
            return
        self._tell(event)
        if isinstance(event, UnitFinished):
            for key, unit in left.items():
                if (unit.recipe.label, unit.shard) == (event.label, event.shard):
                    self._done(unit)
                    del left[key]
                    return

    def _settle(self, left: dict[UnitKey, Unit], reason: str) -> None:
        """Count what other runs built meanwhile as done, and fail the rest."""
        lost = []
        for unit in left.values():
            recipe = unit.recipe
            if unit.shard in self.store.records(recipe) or self.store.sealed(recipe) is not None:
                self._done(unit)
            else:
                lost.append(unit)
        if lost:
            which = f"{len(lost)} units ({lost[0].recipe.label}, …)"
            error = PipelineError(f"{which} are not built: {reason}; run this again")
            self.outcome.failures += [Failure(unit, error) for unit in lost]

    def _done(self, unit: Unit) -> None:
        self.outcome.done += 1
        self.outcome.built.add(unit.recipe.key)

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


def _dealt(units: Sequence[Unit], able: Sequence[tuple[str, Sequence[str]]]) -> list[_Share]:
    """Deal units out in turns; a device that gets none has no share."""
    dealt = [
        _Share(device, arguments, list(units[n :: len(able)]))
        for n, (device, arguments) in enumerate(able)
    ]
    return [share for share in dealt if share.units]


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a process, and if this one is to stop at once, kill it."""
    try:
        process.wait()
    except BaseException:
        process.kill()  # what it has begun is lost
        process.wait()
        raise
    finally:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
