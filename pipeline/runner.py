"""Runs the units of a plan in a pool and seals what is complete."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import TypeAlias

from pipeline.errors import HeldError, PipelineError, StoreError, UnitsFailedError
from pipeline.events import (
    ArtifactSealed,
    Event,
    Listener,
    RunFinished,
    RunStarted,
    UnitFailed,
    UnitFinished,
    UnitHeld,
)
from pipeline.plan import Plan, Step
from pipeline.pool import Pool, Threads
from pipeline.store import Store
from pipeline.unit import Node, Unit

_POLL_SECONDS = (0.2, 3.0)
"""Shortest and longest time between two looks at units that others hold."""


@dataclass(frozen=True)
class Failure:
    """A unit that could not be made, and why."""

    unit: Unit
    error: Exception


@dataclass
class Outcome:
    """What a run did."""

    done: int = 0
    """Units made, or found made by another process."""
    failures: list[Failure] = field(default_factory=list)
    blocked: list[Step] = field(default_factory=list)
    """Steps not begun because an input of theirs failed."""
    built: set[str] = field(default_factory=set)
    """Recipe keys of the artifacts that units were made of."""

    def raise_failures(self) -> None:
        """Raise one error that tells every distinct failure, if there is any."""
        if not self.failures:
            return
        messages = list(dict.fromkeys(str(failure.error) for failure in self.failures))
        broken = [f.error for f in self.failures if isinstance(f.error, StoreError)]
        if broken:
            messages = [str(broken[0])]
        if self.blocked:
            messages.append(f"not begun for want of these: {len(self.blocked)} artifacts")
        message = "\n".join(messages)
        kinds = {type(failure.error) for failure in self.failures}
        if self.built - self._only_for_failed():
            raise UnitsFailedError(message)
        raise (kinds.pop() if len(kinds) == 1 else PipelineError)(message)

    def _only_for_failed(self) -> set[str]:
        """Return the keys of the inputs of what failed: having built only these is no success."""
        failed = {failure.unit.recipe.key for failure in self.failures}
        nodes = [failure.unit.node for failure in self.failures]
        nodes += [step.node for step in self.blocked]
        keys: set[str] = set()
        while nodes:
            inputs = nodes.pop().inputs.values()
            nodes += [node for node in inputs if node.recipe.key not in keys]
            keys |= {node.recipe.key for node in inputs}
        return keys - failed


@dataclass(frozen=True)
class Manner:
    """How a plan is carried out; nothing here changes what is made."""

    workers: int
    """Units that are built at the same time."""
    listeners: Sequence[Listener] = ()
    """Are told every event."""
    wait_for_others: bool = True
    """Whether to wait for units that another process holds."""


Runner: TypeAlias = Callable[[Store, Plan, Manner], Outcome]
"""What carries out a plan: `run`, or what does it with several processes."""


def run(
    store: Store, plan: Plan, manner: Manner, pool: Callable[[Store], Pool] | None = None
) -> Outcome:
    """Build what a plan lists, in `pool` or else in as many threads as there are workers.

    A unit that fails leaves the others running; what needs it is not begun. Units that another
    process holds are left for the end and waited for.

    Raises
    ------
    HeldError
        If another process holds units and is not to be waited for.
    InterruptedRunError
        When asked to stop, after the running units have been published.
    """
    if not plan.steps:
        store.sweep()
        return Outcome()
    with store.writing():
        made = Threads(store, manner.workers) if pool is None else pool(store)
        try:
            return _Run(store, plan, made, manner).execute()
        finally:
            made.close()


class _Run:
    """The state of one run; all happens in the calling thread but the building of units."""

    def __init__(self, store: Store, plan: Plan, pool: Pool, manner: Manner) -> None:
        self._store = store
        self._pool = pool
        self._manner = manner
        self._steps = {step.node.recipe.key: step for step in plan.steps}
        self._missing = {
            key: {source.key for source in step.node.recipe.inputs.values()} & set(self._steps)
            for key, step in self._steps.items()
        }
        # An artifact whose shards are all published is sealed by looking at one of them again.
        self._units = {key: s.units or s.node.units[:1] for key, s in self._steps.items()}
        self._remaining = {key: len(units) for key, units in self._units.items()}
        self._queue: deque[Unit] = deque()
        self._held: list[Unit] = []
        self._running: dict[Future[float], Unit] = {}
        self._outcome = Outcome()
        self._pause = _POLL_SECONDS[0]
        self._started = time.perf_counter()
        self._tell(RunStarted(plan.units, plan.nbytes, manner.workers))

    def execute(self) -> Outcome:
        self._begin()
        while self._queue or self._running or self._held:
            self._submit()
            self._collect()
        self._outcome.blocked = [self._steps[key] for key in self._missing]
        seconds = round(time.perf_counter() - self._started, 3)
        self._tell(RunFinished(self._outcome.done, len(self._outcome.failures), seconds))
        return self._outcome

    def _begin(self) -> None:
        """Take up the steps whose inputs are all sealed."""
        while ready := [key for key, missing in self._missing.items() if not missing]:
            for key in ready:
                del self._missing[key]
                node = self._steps[key].node
                if self._store.adopt_equivalent(node.recipe) is not None:
                    self._sealed(node, alias=True)
                else:
                    self._queue.extend(self._units[key])

    def _sealed(self, node: Node, *, alias: bool = False) -> None:
        """Tell that an artifact exists; what waited for it alone is ready now."""
        key = node.recipe.key
        digest = self._store.artifact(node.recipe).manifest.content_digest
        self._tell(ArtifactSealed(node.recipe.label, key, digest, alias))
        for missing in self._missing.values():
            missing.discard(key)

    def _submit(self) -> None:
        """Keep the pool busy; units of stages that are not parallel run one or a few at a time."""
        limits = [limit for unit in self._running.values() if (limit := _limit(unit)) is not None]
        waiting = []
        capacity = self._pool.capacity
        while self._queue and len(self._running) < capacity:
            unit = self._queue.popleft()
            limit = None if self._pool.keeps_limits else _limit(unit)
            if limit is None or len(limits) < min([limit, *limits]):
                limits += [] if limit is None else [limit]
                self._running[self._pool.submit(unit)] = unit
            else:
                waiting.append(unit)
        self._queue.extendleft(reversed(waiting))

    def _collect(self) -> None:
        if not self._running:
            self._look_again()
            return
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            self._finish(self._running.pop(future), future)

    def _look_again(self) -> None:
        """Turn to the units that others hold, once there is nothing else to do."""
        if self._held and not self._manner.wait_for_others:
            label = self._held[0].recipe.label
            message = f"{len(self._held)} units are being built by another process ({label}, …)"
            raise HeldError(message)
        if self._held:
            time.sleep(self._pause)
            self._pause = min(1.5 * self._pause, _POLL_SECONDS[1])
            self._queue.extend(self._held)
            self._held.clear()

    def _finish(self, unit: Unit, future: Future[float]) -> None:
        label, node = unit.recipe.label, unit.node
        try:
            seconds = future.result()
        except HeldError:
            self._held.append(unit)
            self._tell(UnitHeld(label, unit.shard))
            return
        except Exception as error:  # noqa: BLE001
            self._outcome.failures.append(Failure(unit, _told(error, label)))
            trace = "".join(traceback.format_exception(error))
            self._tell(UnitFailed(label, unit.shard, str(error), trace))
            if isinstance(error, StoreError):
                self._queue.clear()  # the store will refuse the others just the same
            return
        self._pause = _POLL_SECONDS[0]
        self._outcome.done += 1
        self._outcome.built.add(unit.recipe.key)
        rows = unit.stop - unit.start
        self._tell(UnitFinished(label, unit.shard, rows, rows * node.row_bytes, seconds))
        self._remaining[unit.recipe.key] -= 1
        if not self._remaining[unit.recipe.key] and self._store.sealed(unit.recipe) is not None:
            self._sealed(node)
            self._begin()

    def _tell(self, event: Event) -> None:
        for listener in self._manner.listeners:
            listener(event)


def _limit(unit: Unit) -> int | None:
    """Return how many units may run beside each other if this is one of them; None for any."""
    parallel = unit.node.stage.parallel
    return None if parallel is True else max(1, int(parallel))


def _told(error: Exception, label: str) -> Exception:
    """Return an error whose message names the artifact."""
    if isinstance(error, (StoreError, MemoryError)):
        return error
    if isinstance(error, PipelineError):
        return type(error)(f"{label}: {error}")
    return PipelineError(f"{label}: unexpected {type(error).__name__}: {error}")
