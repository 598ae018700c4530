"""Schedulers of dask: one that is there, or one that a command starts with its own workers."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator
from typing import Any, TypeAlias

from pipeline.cli.output import say
from pipeline.errors import PipelineError, UsageError, first_line

Client: TypeAlias = Any
"""A `distributed.Client`, which has no types of its own."""
PROCESSES = "processes"
_CONNECT_SECONDS = "10s"
_OF_PROCESSES = {
    "distributed.scheduler.allowed-failures": 1,  # it is tried again, on its own
    # What workers hold for dask is a few words: there is nothing to spill, nor a use in pausing.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
"""Settings of a scheduler and workers that the command starts itself."""


@contextlib.contextmanager
def connected(scheduler: str, workers: int) -> Iterator[Client]:
    """Connect to a scheduler, or start one with worker processes on this host."""
    module = distributed()
    if scheduler == PROCESSES:
        with _local_cluster(workers) as cluster, module.Client(cluster) as client:
            yield client
        return
    try:
        client = module.Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        message = f"--scheduler {scheduler}: no scheduler answers there: {first_line(error)}"
        raise PipelineError(message) from error
    with client:
        if not client.nthreads():
            say(f"{scheduler} has no workers yet: units begin when the first comes")
        yield client


@contextlib.contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """Start worker processes on this host, each with one thread and its share of the memory."""
    module = distributed()
    import dask.config

    with (
        dask.config.set(_OF_PROCESSES),
        tempfile.TemporaryDirectory(prefix="medshards-") as scratch,
        module.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=module.system.MEMORY_LIMIT // workers,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=scratch,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


def distributed() -> Any:  # noqa: ANN401
    """Return the module, which takes its time, and has no types of its own."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    import distributed

    return distributed


def require_scheduler(text: str) -> None:
    """Refuse what names no scheduler.

    Raises
    ------
    UsageError
        If it does not.
    """
    if text != PROCESSES and not re.fullmatch(r"(tcp|tls|ucx|ws)://\S+", text):
        message = f"--scheduler {text}: give {PROCESSES}, or an address such as tcp://host:8786"
        raise UsageError(message)
