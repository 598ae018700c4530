"""One unit of another process's run, built in a worker of dask: what the worker does.

A task is a few words: the arguments of the command, and which unit. The worker derives the graph
from them itself, once for a run, so that no code and no array ever travels; an encoder is loaded
once, too. It answers with what became of the unit.
"""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.cli.graphs import code_digest, graph_of, manifests_digest
from pipeline.errors import HeldError, PipelineError
from pipeline.packages import installed_version
from pipeline.store import Store
from pipeline.unit import Node

LATENCY_SECONDS = 60.0
"""How long a network file system may take to show one host what another has published."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Identity:
    """What two processes must have in common to make the same artifacts."""

    version: str
    code: str
    manifests: str

    def refusal(self, other: Identity) -> str:
        """Return why a worker that is `other` is refused; empty if it is equal."""
        if self == other:
            return ""
        if self.version != other.version:
            return f"it runs medshards {other.version}, this command {self.version}"
        if self.code != other.code:
            what = f"its medshards {other.version} has other code ({other.code[:8]})"
            return f"{what} than this command's ({self.code[:8]})"
        return "its files in the folder of --manifests differ: use one that all hosts share"


@dataclass(frozen=True, slots=True)
class Run:
    """What all units of a run have in common."""

    token: str
    arguments: tuple[str, ...]
    """Of the command `pipeline`."""
    manifests: str | None
    """Folder of the user's manifests."""
    identity: Identity
    witness: str
    """A file of the store that is there while the run lasts."""


def identity_here(manifests: str | None) -> Identity:
    """Return the identity of this process."""
    version = installed_version() or "from a folder"
    return Identity(version, code_digest(), manifests_digest(manifests))


def identity_fields(manifests: str | None) -> dict[str, str]:
    """Return the identity of this process as plain values, which is how it travels."""
    return asdict(identity_here(manifests))


def build_remotely(run: dict[str, Any], key: str, shard: int) -> dict[str, Any]:
    """Build one unit of a run, given as plain values.

    Returns
    -------
    One of ``refused`` (why the ``worker`` cannot take part), ``held`` (by another process),
    ``error`` (kind, message and traceback), or ``seconds`` with ``sealed`` and ``host``.
    """
    asked = Run(**{**run, "identity": Identity(**run["identity"])})
    refusal = asked.identity.refusal(identity_here(asked.manifests))
    if refusal:
        from distributed import get_worker

        return {"refused": refusal, "worker": get_worker().address}
    try:
        return _built(_graph(asked), key, shard)
    except HeldError:
        return {"held": True}
    except Exception as error:  # noqa: BLE001
        told = "".join(traceback.format_exception(error))
        kind, message = type(error).__name__, str(error)
        if not isinstance(error, PipelineError):
            kind, message = "PipelineError", f"unexpected {kind}: {message}"
        return {"error": {"kind": kind, "message": message, "traceback": told}}


@dataclass(frozen=True)
class _Graph:
    store: Store
    nodes: dict[str, Node]


def _built(graph: _Graph, key: str, shard: int) -> dict[str, Any]:
    from pipeline.pool import build_unit

    node = graph.nodes.get(key)
    if node is None:
        message = f"this worker's manifests and files make no artifact with recipe key {key[:12]}"
        raise PipelineError(message)
    store = Store(graph.store.root)  # its own: a worker may have several threads
    for source in node.recipe.inputs.values():
        wait_until(lambda source=source: store.sealed(source) is not None)  # type: ignore[misc]
    if node.stage.parallel is True:
        with store.writing():
            seconds = build_unit(store, node.units[shard])
    else:
        with _one_by_one, store.writing():
            seconds = build_unit(store, node.units[shard])
    sealed = store.sealed(node.recipe) is not None
    return {"seconds": seconds, "sealed": sealed, "host": socket.gethostname()}


def wait_until(there: Callable[[], bool], seconds: float = LATENCY_SECONDS) -> bool:
    """Wait for what another host has made to be seen here; return whether it was."""
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


_one_by_one = threading.Lock()
_deriving = threading.Lock()
_graphs: dict[str, _Graph] = {}
"""That of the last run alone: what it found in the store is only true for a while."""


def _graph(run: Run) -> _Graph:
    with _deriving:
        if run.token not in _graphs:
            if not wait_until(lambda: Path(run.witness).exists()):
                message = (
                    f"{Path(run.witness).parents[1]} is another folder on this worker's host "
                    f"({socket.gethostname()}): a store must be one that all hosts share"
                )
                raise PipelineError(message)
            _graphs.clear()
            _graphs[run.token] = _Graph(*graph_of(run.arguments))
        return _graphs[run.token]
