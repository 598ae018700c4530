"""A remote that stumbles or lies: every run completes, or stops in words and can be resumed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import get_args

import pytest

from pipeline.errors import PipelineError, StoreError, VerificationError
from pipeline.sharing.check import verify_remote
from pipeline.sharing.remote import open_remote
from pipeline.store import Store
from pipeline.verify import verify
from tests.faulty_server import Fault, Kind
from tests.pipeline.sharing.conftest import Lab, patient
from tests.pipeline.toy import Digests, digests_of

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.usefixtures("without_fsync")]

SHARD = r"GET .*numbers/toy/0/.*pixels/c\.1"
KINDS: tuple[Kind, ...] = get_args(Kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "vanish"])
def test_a_pull_gets_over_passing_faults(
    served: Lab, here: Path, reference: Digests, kind: Kind
) -> None:
    """Two failures of one kind, at a shard, a manifest and a record, cost no more than attempts."""
    served.server.faults += [
        Fault(kind, where, times=2 if kind != "stall" else 1)
        for where in (SHARD, "GET .*odd/.*manifest.json", "GET .*even/.*records/00000.json")
    ]
    served.pull(here).raise_failures()
    assert digests_of(here) == reference
    assert verify(Store(here)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_stops_and_resumes(served: Lab, here: Path, reference: Digests, kind: Kind) -> None:
    """A shard that cannot be had is named, nothing of it is accepted, all else is kept."""
    if kind == "stall":
        served.patience = lambda: patient(timeout=0.1)
    served.server.faults.append(Fault(kind, SHARD))
    outcome = served.pull(here)
    if kind == "long" and not outcome.failures:
        return  # a range of an object never has more bytes than were asked for
    with pytest.raises(PipelineError, match=r"numbers/toy/0/.*pixels/c\.1.*the same command") as e:
        outcome.raise_failures()
    if kind == "wrong":
        assert isinstance(e.value, VerificationError)
    assert set(digests_of(here)) == set(reference) - {"numbers/toy/0"}
    assert not list(here.rglob("c.1.0.0.0"))
    assert not list((here / "staging").iterdir())
    served.server.faults.clear()
    served.server.requests.clear()
    served.pull(here).raise_failures()
    assert digests_of(here) == reference
    assert verify(Store(here)) == []
    assert not served.server.asked(r"pixels/c\.(0|2)|sums/c")  # they had arrived before


@pytest.mark.parametrize("kind", ["error", "wrong", "cut"])
def test_a_manifest_that_cannot_be_had(served: Lab, here: Path, kind: Kind) -> None:
    """Before anything is moved, a manifest that is not as it says is an error that names it."""
    served.server.faults.append(Fault(kind, "GET .*odd/.*manifest.json"))
    with pytest.raises(PipelineError, match=r"odd/.*manifest.json"):
        served.pull(here)
    assert not here.exists()


def test_a_remote_in_trouble_is_given_up(served: Lab, here: Path) -> None:
    """Where everything fails, not everything is tried."""
    holdings, plan = served.plan_pull(here)
    served.server.faults.append(Fault("error", "GET"))
    served.server.requests.clear()
    from pipeline.sharing.pull import pull

    outcome = pull(Store(here), holdings, plan, workers=1)
    assert len(outcome.failures) == 8
    with pytest.raises(StoreError, match=r"3 attempts.*and 7 more failed"):
        outcome.raise_failures()


@pytest.mark.parametrize("kind", ["error", "reset", "stall", "cut"])
def test_a_push_gets_over_passing_faults(s3: Lab, built: Path, kind: Kind) -> None:
    """Failures while objects are put cost no more than attempts."""
    s3.server.faults += [
        Fault(kind, where, times=1)
        for where in (r"PUT .*sums/c\.0", "PUT .*records/00001", "PUT .*manifest.json")
    ]
    s3.push(built, "sums/toy/0/odd").raise_failures()
    assert verify_remote(s3.holdings()) == []


def test_a_push_stops_and_resumes(s3: Lab, built: Path, here: Path, reference: Digests) -> None:
    """An object that cannot be put is named; its artifact does not exist until it is there."""
    s3.server.faults.append(Fault("error", r"PUT .*numbers/toy/0/.*pixels/c\.1"))
    with pytest.raises(StoreError, match=r"numbers/toy/0/.*pixels/c\.1.*3 attempts"):
        s3.push(built).raise_failures()
    assert {place.label for place in s3.holdings().sealed} == set(reference) - {"numbers/toy/0"}
    s3.server.faults.clear()
    s3.server.requests.clear()
    s3.push(built).raise_failures()
    sent = s3.server.asked("^PUT .*(pixels|floats|index|pieces)")
    assert len(sent) == 1
    s3.pull(here).raise_failures()
    assert digests_of(here) == reference


def test_no_bucket_and_no_keys(s3: Lab, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are said at once, not after many attempts."""
    with pytest.raises(StoreError, match="there is no such bucket"):
        Lab("s3://not-there-at-all/x").pull(here)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(StoreError, match="AWS_PROFILE"):
        s3.pull(here)


def test_nobody_answers(here: Path) -> None:
    """A refused connection is an error that names the address."""
    with pytest.raises(StoreError, match=r"http://127.0.0.1:9/x.*3 attempts"):
        Lab("http://127.0.0.1:9/x").pull(here)


def test_the_verify_of_a_remote_that_lies(served: Lab) -> None:
    """Wrong and cut bodies are problems of the files they belong to."""
    served.server.faults += [Fault("wrong", SHARD), Fault("cut", r"GET .*odd/.*sums/c\.0")]
    found = {
        (problem.artifact, problem.file.rpartition("/")[2])
        for problem in verify_remote(served.holdings(), workers=2)
    }
    assert found == {("numbers/toy/0", "c.1.0.0.0"), ("sums/toy/0/odd", "c.0")}


def test_a_server_that_says_nothing(aws: pytest.MonkeyPatch) -> None:
    """Sending to a server that takes a connection and never answers ends, and names the object."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        remote = open_remote("s3://bucket", patient(attempts=1, timeout=0.05))
        with pytest.raises(StoreError, match=r"x: the server does not answer in time"):
            remote.keep_trying("x", lambda: remote.send("x", [b"1"], 1, "0" * 64))
