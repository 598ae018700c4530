"""Remote stores to push to and pull from: a folder, a web server and an S3 server with faults."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.patience import Patience
from pipeline.sharing.holdings import Holdings
from pipeline.sharing.pull import PullPlan, plan_pull, pull
from pipeline.sharing.push import PushPlan, Sending, plan_push, push
from pipeline.sharing.remote import open_remote
from pipeline.sharing.transfer import Outcome
from pipeline.store import Store
from tests.faulty_server import FaultyServer, faulty_server, s3_server
from tests.pipeline.conftest import built, copied, reference, without_fsync  # noqa: F401

_FILLED: dict[str, str] = {}
"""Address of the filled bucket by that of its server."""

NAME = "my läb"
"""Part of every path and address: a space and a letter that is not ASCII."""


def patient(attempts: int = 3, timeout: float = 0.5) -> Patience:
    """Return a patience that waits for nothing, and not long."""
    return Patience(attempts, first_wait=0.0, connect_timeout=timeout, read_timeout=timeout)


@dataclass
class Lab:
    """A remote store, and what tests do with it."""

    url: str
    server: FaultyServer | None = None
    patience: Callable[[], Patience] = field(default=patient)

    def holdings(self) -> Holdings:
        """Return what it holds now."""
        return Holdings.of(open_remote(self.url, self.patience()))

    def plan_push(self, root: Path, *labels: str) -> tuple[Holdings, PushPlan]:
        """Return the plan of a push of artifacts with these labels; none means all."""
        store, holdings = Store(root), self.holdings()
        chosen = [Sending(m) for m in store.manifests() if not labels or m.label in labels]
        return holdings, plan_push(store, holdings, chosen, workers=2)

    def push(self, root: Path, *labels: str, workers: int = 2) -> Outcome:
        """Push artifacts."""
        holdings, plan = self.plan_push(root, *labels)
        return push(Store(root), holdings, plan, workers=workers)

    def plan_pull(
        self, root: Path, *labels: str, inputs: bool = False
    ) -> tuple[Holdings, PullPlan]:
        """Return the plan of a pull of artifacts with these labels; none means all."""
        holdings = self.holdings()
        chosen = [place for place in holdings.sealed if not labels or place.label in labels]
        wanted = (lambda _: True) if inputs else None
        return holdings, plan_pull(Store(root), holdings, chosen, workers=2, wants_input=wanted)

    def pull(self, root: Path, *labels: str, inputs: bool = False, workers: int = 2) -> Outcome:
        """Pull artifacts."""
        holdings, plan = self.plan_pull(root, *labels, inputs=inputs)
        return pull(Store(root), holdings, plan, workers=workers)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """A moto server in a process of its own; its address."""
    with s3_server() as address:
        yield address


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of somebody who has keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "*")
    return monkeypatch


@pytest.fixture
def in_front(moto: str, aws: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A server that injects faults, in front of the S3 server."""
    with faulty_server(upstream=moto) as server:
        aws.setenv("AWS_ENDPOINT_URL", server.base)
        yield server


def new_bucket(moto: str) -> str:
    """Make a bucket and return its name."""
    import boto3

    name = f"lab-{os.urandom(6).hex()}"
    client = boto3.client("s3", endpoint_url=moto)
    client.create_bucket(Bucket=name)
    client.close()
    return name


@pytest.fixture
def s3(moto: str, in_front: FaultyServer) -> Lab:
    """An empty store in a bucket."""
    return Lab(f"s3://{new_bucket(moto)}/{NAME}", in_front)


@pytest.fixture
def folder(tmp_path: Path) -> Lab:
    """A store in a folder that is not there yet."""
    return Lab(str(tmp_path / NAME / "shared"))


@pytest.fixture
def web(built: Path, tmp_path: Path) -> Iterator[Lab]:  # noqa: F811
    """A web server of a folder that the toy was pushed to."""
    root = tmp_path / "www" / NAME
    Lab(str(root)).push(built).raise_failures()
    with faulty_server(tmp_path / "www") as server:
        yield Lab(f"{server.base}/{NAME}", server)


@pytest.fixture
def s3_filled(moto: str, in_front: FaultyServer, built: Path) -> Lab:  # noqa: F811
    """A store in a bucket that the toy was pushed to once; not to be changed."""
    if moto not in _FILLED:
        lab = Lab(f"s3://{new_bucket(moto)}/{NAME}")
        lab.push(built, workers=4).raise_failures()
        _FILLED[moto] = lab.url
        in_front.requests.clear()
    return Lab(_FILLED[moto], in_front)


@pytest.fixture(params=["folder", "web", "s3_filled"])
def filled(request: pytest.FixtureRequest, built: Path) -> Lab:  # noqa: F811
    """Each kind of remote, holding the toy."""
    lab: Lab = request.getfixturevalue(request.param)
    if request.param == "folder":
        lab.push(built).raise_failures()
    return lab


@pytest.fixture(params=["web", "s3_filled"])
def served(request: pytest.FixtureRequest) -> Lab:
    """Each remote with a server in between that injects faults, holding the toy."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of a local store that is not there yet."""
    return tmp_path / "hére it is" / "store"


@pytest.fixture
def published(built: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A folder that the toy was pushed to, to be damaged."""
    root = tmp_path / "published"
    Lab(str(root)).push(built).raise_failures()
    return Path(shutil.copytree(root, tmp_path / "copy" / "published"))
