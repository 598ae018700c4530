"""One process of a run on several devices: what its parent gives it, and what it tells back.

`pipeline.cli.processes` starts ``pipeline embed --share`` (an option that no help shows) once per
device, with the options that it was given itself. Such a process

* reads its share from stdin, one line of JSON: a list of ``[recipe key, shard]``;
* settles its own plan from the store, and builds of it what is in its share;
* writes one line of JSON to stdout for every event of the run, one for every unit that failed, and
  one if it had to give up: objects with one key, ``event``, ``failure`` or ``ended``;
* stops as if it had been asked to when stdin ends, which is when its parent is no more.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from types import FrameType
from typing import Any, Final, TypeAlias, get_args

from pipeline.cli.execution import Resources
from pipeline.errors import InterruptedRunError, PipelineError
from pipeline.events import Event
from pipeline.plan import Plan, Step, make_plan
from pipeline.store import Store
from pipeline.unit import Node, Unit

UnitKey: TypeAlias = tuple[str, int]
"""Recipe key and shard."""
_EVENTS: Final = {kind.__name__: kind for kind in get_args(Event)}


def unit_key(unit: Unit) -> UnitKey:
    """Return what names a unit in every process."""
    return unit.recipe.key, unit.shard


def units_of(step: Step) -> Sequence[Unit]:
    """Return the units of a step; where only its seal is missing, the first."""
    return step.units or step.node.units[:1]


def stop_quietly() -> None:
    """Stop without a word when asked to: the parent says it, once for all."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(InterruptedRunError.exit_code)

    signal.signal(signal.SIGTERM, stop)


def build_share(store: Store, targets: Sequence[Node], resources: Resources) -> None:
    """Build the share that stdin says, telling stdout; the failures of units are no errors here.

    The process ends here when it is asked to stop, or when its parent is gone.
    """
    from pipeline.runner import Manner, run  # pyarrow is for runs that do something

    tell = _Teller()
    wanted = _wanted()
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        plan = _part(make_plan(store, targets), wanted)
        outcome = run(store, plan, Manner(resources.workers, [tell.event], resources.wait))
    except PipelineError as error:
        tell("ended", **_said(error))
        return
    for failure in outcome.failures:
        tell("failure", unit=unit_key(failure.unit), **_said(failure.error))


def told_event(content: dict[str, Any]) -> Event:
    """Return the event that an ``event`` line tells of."""
    fields = dict(content)
    event: Event = _EVENTS[fields.pop("kind")](**fields)
    return event


class _Teller:
    """Writes lines to what was stdout; what libraries print there goes to stderr from now on."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        os.dup2(2, 1)

    def __call__(self, key: str, **content: object) -> None:
        self._file.write(json.dumps({key: content}) + "\n")

    def event(self, event: Event) -> None:
        """Tell an event."""
        self("event", kind=type(event).__name__, **asdict(event))


def _said(error: Exception) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": str(error)}


def _wanted() -> set[UnitKey]:
    """Read the share, and no more than it, as nothing else may wait for stdin's end."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in {b"\n", b""}:
        line += byte
    return {(str(key), int(shard)) for key, shard in json.loads(line or b"[]")}


def _watch_parent() -> None:
    """Stop this process once its parent no longer holds the other end of stdin."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _part(plan: Plan, wanted: set[UnitKey]) -> Plan:
    """Return what of a plan is in a share."""
    steps = []
    for step in plan.steps:
        units = [unit for unit in units_of(step) if unit_key(unit) in wanted]
        if units:
            steps.append(replace(step, units=tuple(units) if step.units else ()))
    return Plan(tuple(steps), plan.sealed)
