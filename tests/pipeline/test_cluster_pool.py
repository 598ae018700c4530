"""What goes to workers and what comes back, without any dask."""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cli import remote
from pipeline.cli.cluster import Cluster, OnCluster
from pipeline.cli.devices import gpu_needed
from pipeline.cli.graphs import graph_of
from pipeline.cli.remote import Identity, build_remotely, identity_here
from pipeline.cli.schedulers import require_scheduler
from pipeline.errors import HeldError, PipelineError, UsageError
from tests.pipeline.toy import Toy

BUILD = ("build", "corruptions", "--datasets", "phantom-blood")


def test_a_graph_is_derived_from_arguments_alone(tmp_path: Path) -> None:
    """All that a command would build, by recipe key, and nothing is changed."""
    root = tmp_path / "store"
    store, nodes = graph_of([*BUILD, "--store", str(root)])
    assert store.root == root
    assert sorted({node.recipe.stage for node in nodes.values()}) == ["corruptions", "datasets"]
    assert len(nodes) == 36
    assert not root.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "9"}, "runs medshards 9"),
        ({"code": "1234567890"}, r"other code \(12345678\)"),
        ({"manifests": "x"}, "--manifests"),
    ],
)
def test_what_differs_is_said(change: dict[str, str], said: str) -> None:
    """Version, code and manifests are compared, in this order."""
    mine = Identity("1", "a" * 64, "m")
    other = Identity(**{"version": "1", "code": "a" * 64, "manifests": "m", **change})
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(mine.refusal(other))
    assert mine.refusal(mine) == ""


def test_a_store_that_is_another_folder_on_the_worker_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that does not see the run's own lease in the store builds nothing."""
    monkeypatch.setattr(remote, "LATENCY_SECONDS", 0)
    monkeypatch.setattr(remote, "wait_until", lambda there, seconds=0: there())
    run = _common([*BUILD, "--store", str(tmp_path)], tmp_path / "leases" / "1-x.owner")
    answer = build_remotely(run, "0" * 64, 0)
    assert "hosts share" in answer["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_what_became_of_a_unit_is_told_in_words(tmp_path: Path) -> None:
    """A unit that is built, held, or of no artifact: plain values, whatever happens."""
    arguments = [*BUILD, "--store", str(tmp_path / "store")]
    store, nodes = graph_of(arguments)
    (clean,) = [node for node in nodes.values() if node.recipe.stage == "datasets"]
    with store.writing():
        run = _common(arguments, store.witness)
        with store.lease(clean.recipe, 0):
            assert build_remotely(run, clean.recipe.key, 0) == {"held": True}
        answer = build_remotely(run, clean.recipe.key, 0)
        assert set(answer) == {"seconds", "sealed", "host"}
        assert answer["sealed"] is True
        assert "no artifact" in build_remotely(run, "0" * 64, 0)["error"]["message"]


@pytest.mark.parametrize("text", ["threads", "localhost:8786", "tcp://", "http://x"])
def test_what_names_no_scheduler_is_refused(text: str) -> None:
    """An address says how to speak to it."""
    with pytest.raises(UsageError, match="--scheduler"):
        require_scheduler(text)


class FakeClient:
    """A client whose workers a test describes, and which keeps what is submitted."""

    def __init__(self, **workers: dict[str, float]) -> None:
        self.workers = workers
        self.submitted: list[dict[str, Any]] = []
        self.futures: list[SimpleNamespace] = []

    def nthreads(self) -> dict[str, int]:
        """Return threads by worker."""
        return dict.fromkeys(self.workers, 1)

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        """Return resources by worker."""
        return {"workers": {name: {"resources": r} for name, r in self.workers.items()}}

    def run(self, *_: object, **__: object) -> dict[str, Any]:
        """Return the identities of the workers."""
        return dict.fromkeys(self.workers, remote.identity_fields(None))

    def submit(self, *_: object, **options: object) -> SimpleNamespace:
        """Keep what is submitted."""
        self.submitted.append(options)
        future = SimpleNamespace(callbacks=[])
        future.add_done_callback = future.callbacks.append
        self.futures.append(future)
        return future

    def cancel(self, futures: list[object]) -> None:
        """Forget what is submitted."""

    def answer(self, content: object) -> None:
        """Answer the last that was submitted."""
        future = self.futures[-1]

        def result() -> object:
            if isinstance(content, Exception):
                raise content
            return content

        future.result = result
        for callback in future.callbacks:
            callback(future)


def cluster(client: FakeClient, tmp_path: Path, **options: Any) -> Cluster:
    """Return the pool of a run over a client."""
    store: Any = SimpleNamespace(witness=tmp_path / "witness", sealed=lambda recipe: True)
    return Cluster(client, OnCluster("tcp://x", (), None, **options), store)


def test_units_go_to_workers_with_a_gpu_where_there_are_any(tmp_path: Path) -> None:
    """The label is asked for only where some worker has it."""
    unit = Toy().numbers().units[0]
    for workers, wanted in (({"a": {"GPU": 1.0}, "b": {}}, {"GPU": 1}), ({"a": {}}, None)):
        client = FakeClient(**workers)
        cluster(client, tmp_path, needs=gpu_needed).submit(unit)
        assert client.submitted[0]["resources"] == wanted


def test_so_many_units_are_on_their_way_that_workers_are_busy(tmp_path: Path) -> None:
    """Two for each thread, and a few where a cluster has yet to grow."""
    assert cluster(FakeClient(a={}), tmp_path).capacity == 8
    assert cluster(FakeClient(**{str(n): {} for n in range(20)}), tmp_path).capacity == 40


def test_a_worker_that_comes_later_with_other_code_is_left_out(tmp_path: Path) -> None:
    """Its unit is sent again, to the others; when none is left, the unit fails."""
    client = FakeClient(a={}, b={})
    future: Future[float] = cluster(client, tmp_path).submit(Toy().numbers().units[0])
    client.answer({"refused": "it has other code", "worker": "b"})
    assert client.submitted[-1]["workers"] == ["a"]
    client.answer({"seconds": 2.5, "sealed": True, "host": "a"})
    assert future.result(0) == 2.5
    client = FakeClient(a={})
    future = cluster(client, tmp_path).submit(Toy().numbers().units[0])
    client.answer({"refused": "it has other code", "worker": "a"})
    assert isinstance(future.exception(0), PipelineError)


def test_errors_of_workers_are_of_their_own_kind(tmp_path: Path) -> None:
    """What a worker met is what the command tells, with its exit code."""
    said = {"kind": "DataError", "message": "label 9", "traceback": "there"}
    for answer, kind, message in (
        ({"error": said}, "DataError", "label 9"),
        ({"error": said | {"kind": "os"}}, "PipelineError", "label 9"),
        ({"held": True}, "HeldError", "numbers"),
        (OSError("gone\nfar away"), "PipelineError", "no answer of a worker: gone"),
    ):
        client = FakeClient(a={})
        future = cluster(client, tmp_path).submit(Toy().numbers().units[0])
        client.answer(answer)
        error = future.exception(0)
        assert type(error).__name__ == kind
        assert message in str(error)
    assert HeldError.exit_code == 75


def _common(arguments: list[str], witness: Path) -> dict[str, Any]:
    identity = identity_here(None)
    fields = {name: getattr(identity, name) for name in ("version", "code", "manifests")}
    return {
        "token": os.urandom(4).hex(),
        "arguments": arguments,
        "manifests": None,
        "identity": fields,
        "witness": str(witness),
    }
