"""Where the units of a run are built: threads of this process, unless something else is given."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from pipeline.errors import StoreError
from pipeline.seal import seal
from pipeline.store import Store
from pipeline.unit import Unit, UnitWriter


class Pool(Protocol):
    """Builds units, several at a time."""

    @property
    def capacity(self) -> int:
        """How many units may be submitted and not done; it may change while a run goes on."""

    @property
    def keeps_limits(self) -> bool:
        """Whether it minds itself how many units of a stage run beside each other."""

    def submit(self, unit: Unit) -> Future[float]:
        """Begin to build and perhaps seal a unit; the future gives the seconds it took.

        Its error is `HeldError` where another process holds the unit.
        """

    def close(self) -> None:
        """Begin nothing more, and wait for what runs."""


class Threads:
    """Threads of this process: kernels give up the interpreter's lock."""

    keeps_limits = False

    def __init__(self, store: Store, workers: int) -> None:
        self.capacity = workers
        self._store = store
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="unit")

    def submit(self, unit: Unit) -> Future[float]:
        """Begin to build a unit."""
        return self._executor.submit(build_unit, self._store, unit)

    def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def build_unit(store: Store, unit: Unit) -> float:
    """Make, publish and perhaps seal one unit; return the seconds it took.

    The store must be being written. What is published already is not made again.

    Raises
    ------
    HeldError
        If another process holds the unit.
    """
    started = time.perf_counter()
    recipe = unit.recipe
    if unit.shard not in store.records(recipe):
        with store.lease(recipe, unit.shard):
            _make(store, unit)
    seal(store, unit.node)
    return time.perf_counter() - started


def _make(store: Store, unit: Unit) -> None:
    if _is_there(store, unit):
        return
    store.return_to_life()
    if not _is_there(store, unit):
        message = f"{store.root}: another process keeps taking away what is staged here"
        raise StoreError(message)


def _is_there(store: Store, unit: Unit) -> bool:
    """Make and publish a unit unless it is; false if others took away what was staged of it."""
    if unit.shard in store.records(unit.recipe):
        return True
    inputs = {role: store.artifact(source) for role, source in unit.recipe.inputs.items()}
    with store.staging() as staging:
        try:
            writer = UnitWriter(store, unit, staging)
            unit.node.stage.run(unit, inputs, writer)
            writer.commit()
        except (StoreError, OSError):
            if staging.exists():
                raise
            return False
    return True
