"""A plan carried out by workers of dask.distributed, on this host or on many.

What travels is which unit, and what became of it: see `pipeline.cli.remote`. A worker that dies
costs the unit it was building, and dask gives that to another. Only so many units are on their way
that all workers are busy. What has lost several workers is tried once more on its own, after all
else: dask blames every unit that a worker had been given, not only the one that it was building.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.cli.output import say
from pipeline.cli.remote import (
    Identity,
    Run,
    build_remotely,
    identity_fields,
    identity_here,
    wait_until,
)
from pipeline.cli.schedulers import Client, connected, distributed
from pipeline.errors import HeldError, PipelineError, error_of, first_line
from pipeline.plan import Plan
from pipeline.runner import Manner, Outcome, run
from pipeline.store import Store
from pipeline.unit import Unit

LEAST_IN_FLIGHT = 8
"""Units on their way to a cluster that has no workers yet: one that grows with its work needs
some."""

Needs = Callable[[Unit], Mapping[str, float]]
"""The resources by which dask chooses workers for a unit, such as ``{"GPU": 1}``."""


def nothing_needed(unit: Unit) -> Mapping[str, float]:
    """Return the resources of a unit that any worker can build."""
    del unit
    return {}


@dataclass(frozen=True)
class OnCluster:
    """Carries out a plan with workers of dask."""

    scheduler: str
    """``processes`` or the address of a scheduler."""
    arguments: tuple[str, ...]
    """Of the command `pipeline`, for the workers."""
    manifests: Path | None
    needs: Needs = nothing_needed

    def __call__(self, store: Store, plan: Plan, manner: Manner) -> Outcome:
        """Build what the plan lists.

        Raises
        ------
        PipelineError
            If no scheduler answers, or no worker may take part.
        """
        with connected(self.scheduler, manner.workers) as client:
            there = replace(manner, workers=sum(client.nthreads().values()))
            return run(store, plan, there, lambda store: Cluster(client, self, store))


class Cluster:
    """The pool of a run: units go to a scheduler, and what became of them comes back."""

    keeps_limits = True

    def __init__(self, client: Client, on: OnCluster, store: Store) -> None:
        manifests = None if on.manifests is None else str(on.manifests.absolute())
        self._client = client
        self._store = store
        self._needs = on.needs
        self._identity = identity_here(manifests)
        common = Run(
            os.urandom(12).hex(), on.arguments, manifests, self._identity, str(store.witness)
        )
        self._common = {**asdict(common), "arguments": list(on.arguments)}
        self._lock = threading.RLock()
        self._running: dict[Future[float], Any] = {}
        self._waiting: deque[tuple[Unit, Future[float]]] = deque()
        self._suspects: deque[tuple[Unit, Future[float]]] = deque()
        """Units that have lost workers, or were only waiting at workers that were lost."""
        self._alone: Future[float] | None = None
        """A suspect that is being tried, with nothing beside it."""
        self._refused: set[str] = set()
        self._labels = _labels(client)
        self._refuse_others(manifests)

    @property
    def capacity(self) -> int:
        """Two units for each thread of the workers: one that runs and one that waits."""
        threads: int = sum(self._client.nthreads().values())
        return max(LEAST_IN_FLIGHT, 2 * threads)

    def submit(self, unit: Unit) -> Future[float]:
        """Send a unit to the scheduler."""
        future: Future[float] = Future()
        future.set_running_or_notify_cancel()
        self._waiting.append((unit, future))
        self._send_some()
        return future

    def close(self) -> None:
        """Take back what no worker has begun; what runs is published, if its worker goes on."""
        with self._lock:
            sent = list(self._running.values())
            for kept in (self._running, self._waiting, self._suspects):
                kept.clear()
        self._client.cancel(sent)

    def _refuse_others(self, manifests: str | None) -> None:
        """Leave out the workers that would make other artifacts than this command."""
        try:
            found = self._client.run(identity_fields, manifests, on_error="return")
        except Exception as error:
            message = f"the workers cannot run this program: {first_line(error)}"
            raise PipelineError(message) from error
        for address, fields in found.items():
            if isinstance(fields, BaseException):
                self._refuse(address, f"it cannot run this program: {first_line(fields)}")
            elif why := self._identity.refusal(Identity(**fields)):
                self._refuse(address, why)

    def _refuse(self, address: str, why: str) -> None:
        if address not in self._refused:
            self._refused.add(address)
            say(f"worker {address} is not used: {why}")
        if not self._able():
            message = (
                f"worker {address}: {why}; start workers from the installation of this command"
            )
            raise PipelineError(message)

    def _able(self) -> list[str]:
        return sorted(set(self._client.nthreads()) - self._refused)

    def _send_some(self) -> None:
        """Send what waits; if nothing does and nothing runs, one suspect."""
        with self._lock:
            while self._waiting and self._alone is None:
                self._send(*self._waiting.popleft())
            if self._suspects and self._alone is None and not self._running:
                unit, self._alone = self._suspects.popleft()
                self._send(unit, self._alone)

    def _send(self, unit: Unit, future: Future[float]) -> None:
        needs = {name: n for name, n in self._needs(unit).items() if name in self._labels}
        sent = self._client.submit(
            build_remotely,
            self._common,
            unit.recipe.key,
            unit.shard,
            key=f"unit-{unit.recipe.key[:16]}-{unit.shard}-{os.urandom(4).hex()}",
            pure=False,
            workers=self._able() if self._refused else None,
            resources=needs or None,
        )
        self._running[future] = sent
        sent.add_done_callback(lambda done: self._answered(unit, future, done))

    def _answered(self, unit: Unit, future: Future[float], done: Any) -> None:  # noqa: ANN401
        """Take what became of a unit; called in a thread of the client."""
        with self._lock:
            sent = self._running.pop(future, None)
        if sent is None:  # taken back
            future.set_exception(PipelineError("taken back"))
            return
        self._settle(unit, future, done)
        with self._lock:
            if future is self._alone and future.done():
                self._alone = None
            self._send_some()

    def _settle(self, unit: Unit, future: Future[float], done: Any) -> None:  # noqa: ANN401
        """Pass on what became of a unit, or see to it that it is tried again."""
        try:
            answer = done.result()
            if "refused" in answer:  # a worker that came later
                self._refuse(answer["worker"], answer["refused"])
                self._send(unit, future)
            else:
                future.set_result(self._seconds(unit, answer))
        except Exception as error:  # noqa: BLE001
            if _lost_workers(error) and future is not self._alone:
                self._suspects.append((unit, future))
            else:
                future.set_exception(_told(error))

    def _seconds(self, unit: Unit, answer: Mapping[str, Any]) -> float:
        if "held" in answer:
            raise HeldError(unit.recipe.label)
        if "error" in answer:
            raise _error(answer["error"])
        if answer["sealed"]:
            wait_until(lambda: self._store.sealed(unit.recipe) is not None)
        return float(answer["seconds"])


def _labels(client: Client) -> set[str]:
    """Return the resources that any worker says it has."""
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # older versions return all of them
        workers = client.scheduler_info()["workers"]
    return {label for one in workers.values() for label in one["resources"]}


def _error(content: Mapping[str, str]) -> PipelineError:
    error = error_of(content)
    error.add_note(content["traceback"])
    return error


def _lost_workers(error: Exception) -> bool:
    return isinstance(error, distributed().KilledWorker)


def _told(error: Exception) -> Exception:
    if _lost_workers(error):
        message = (
            "its worker died every time it was tried, also with nothing beside it: it may need "
            "more memory (fewer --workers, or a larger --memory-limit of the workers)"
        )
        return PipelineError(message)
    if isinstance(error, PipelineError):
        return error
    return PipelineError(f"no answer of a worker: {first_line(error)}")
