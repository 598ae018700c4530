"""Resources and interruptions change neither the rows of embeddings nor, beyond rounding, them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.artifact import Artifact
from pipeline.cli.remote import wait_until
from pipeline.store import Store
from tests.end_to_end.tiny_clip import write_tiny_clip

SETS = 35
EMBED = ("embed", "--model", "tiny-clip", "--weights", "weights", "--manifests", "my")
AT = (*EMBED, "--store", "store", "--log", "log.jsonl")
DIGEST = "embeddings_blake3"
"""The column of the index that follows rounding."""


@pytest.fixture(scope="session")
def images(
    once: Callable[[str, Callable[[Path], None]], Path], tiny_study: Path
) -> Callable[[Path], Path]:
    """Return a function that copies the tiny sets and the tiny CLIP, nothing embedded."""

    def build(folder: Path) -> None:
        kept = ("datasets", "corruptions", "store.json")
        (folder / "store").mkdir()
        for path in (tiny_study / "store").iterdir():
            if path.name in kept:
                (shutil.copytree if path.is_dir() else shutil.copy)(
                    path, folder / "store" / path.name
                )
        shutil.copytree(tiny_study / "manifests", folder / "my")
        write_tiny_clip(folder)

    made = once("embed resources", build)
    return lambda folder: Path(shutil.copytree(made, folder, dirs_exist_ok=True))


@pytest.fixture
def place(images: Callable[[Path], Path], tmp_path: Path) -> Path:
    """This test's own copy."""
    return images(tmp_path)


@pytest.fixture(scope="session")
def embedded(
    once: Callable[[str, Callable[[Path], None]], Path],
    images: Callable[[Path], Path],
    command_line: Callable[[Path], Any],
) -> Path:
    """A folder in which all is embedded, at one go."""

    def build(folder: Path) -> None:
        command_line(images(folder))(*AT, "--device", "cpu")

    return once("embedded", build)


def finished(place: Path) -> Counter[tuple[str, int]]:
    """Return how often each unit was done, by the log."""
    path = place / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return Counter((e["label"], e["shard"]) for e in events if e["event"] == "UnitFinished")


def artifacts(place: Path) -> dict[str, Artifact]:
    """Return the sealed embeddings by stage and name."""
    found = [m for m in Store.open(place / "store").manifests() if "embeddings" in m.stage]
    return {manifest.label: Artifact(manifest) for manifest in found}


def require_equal(place: Path, embedded: Path) -> None:
    """Assert that two folders have the same rows, their embeddings equal within the tolerance."""
    found, others = artifacts(place), artifacts(embedded)
    assert found.keys() == others.keys()
    assert len(found) >= SETS + 1
    for label, artifact in found.items():
        other = others[label]
        assert artifact.manifest.recipe_key == other.manifest.recipe_key
        rows, expected = (one.index().drop_columns([DIGEST]) for one in (artifact, other))
        assert rows.equals(expected)
        tolerance = artifact.attributes["tolerance"]
        assert 0 < tolerance <= 1e-4
        np.testing.assert_allclose(
            *(one.array("embeddings")[:] for one in (artifact, other)), rtol=0, atol=tolerance
        )


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a process has started and that have not ended."""
    path = Path("/proc") / str(process.pid) / "task" / str(process.pid) / "children"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet does not."""
    try:
        return "\nState:\tZ" not in (Path("/proc") / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def require(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    """Wait until something is so of a process that still runs."""
    assert wait_until(lambda: there() or process.poll() is not None, 90)
    assert process.poll() is None, process.communicate()


@pytest.fixture
def two_processes(pipeline: Any, place: Path) -> Iterator[subprocess.Popen[str]]:
    """A run on two devices whose processes have begun and built nothing yet."""
    if not (Path("/proc") / "self" / "task" / str(os.getpid()) / "children").exists():
        pytest.skip("this system does not tell the children of a process")
    with pipeline.start(*AT, "--device", "cpu,cpu") as process:
        require(process, lambda: len(children(process)) == 2)
        yield process
        process.kill()


@pytest.mark.parametrize(
    "resources",
    [
        ("--device", "cpu", "--batch-size", 1, "--workers", 1),
        ("--device", "cpu", "--batch-size", 5, "--workers", 3),
        ("--device", "cpu,cpu", "--device", "cpu", "--batch-size", 3),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_resources_change_rounding_only(
    pipeline: Any, place: Path, embedded: Path, resources: tuple[object, ...]
) -> None:
    """Batch size, workers and number of devices leave rows, their order and embeddings the same."""
    answer = pipeline(*AT, *resources, "--json")
    assert answer.json["units"] == len(finished(place)) == len(artifacts(place))
    assert set(finished(place).values()) == {1}
    require_equal(place, embedded)
    again = pipeline(*AT, *resources)
    assert "nothing to do" in again.stderr
    assert "units" not in again.stderr


def test_order_changes_rounding_only(pipeline: Any, place: Path, embedded: Path) -> None:
    """What is embedded first, alone or last makes no difference."""
    pipeline(*AT, "--device", "cpu", "--only", "medimeta-c/tiny/test/*/4")
    pipeline(*AT, "--device", "cpu")
    assert set(finished(place).values()) == {1}
    require_equal(place, embedded)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda n: n.name)
def test_interruption_loses_at_most_one_shard(
    pipeline: Any, place: Path, embedded: Path, number: signal.Signals
) -> None:
    """What was finished before is kept and not done again; at most one unit had been begun."""
    with pipeline.start(*AT, "--device", "cpu") as process:
        require(process, lambda: bool(finished(place)))
        process.send_signal(number)
        process.communicate()
    killed = number == signal.SIGKILL
    assert process.returncode == (-signal.SIGKILL if killed else 130)
    before = finished(place)
    staging = place / "store" / "staging"
    begun = [path for path in staging.glob("*/*") if path.is_dir()] if staging.exists() else []
    assert len(begun) <= killed
    pipeline(*AT, "--device", "cpu")
    done = finished(place)
    assert set(done.values()) == {1}
    assert len(before) < len(done)
    # One may have been published in the moment before it could be logged.
    assert len(artifacts(place)) - 1 <= len(done) <= len(artifacts(place))
    require_equal(place, embedded)


def test_a_killed_process_costs_its_unit_only(
    two_processes: subprocess.Popen[str], place: Path, embedded: Path
) -> None:
    """The other process takes over what the killed one had not finished."""
    os.kill(children(two_processes)[0], signal.SIGKILL)
    _, stderr = two_processes.communicate()
    assert two_processes.returncode == 0, stderr
    assert "the process on cpu was killed by SIGKILL: the others take over its units" in stderr
    assert set(finished(place).values()) == {1}
    require_equal(place, embedded)


def test_all_processes_killed(
    two_processes: subprocess.Popen[str], pipeline: Any, place: Path, embedded: Path
) -> None:
    """Without any process left the run fails, saying so, and the next one completes it."""
    for pid in children(two_processes):
        os.kill(pid, signal.SIGKILL)
    _, stderr = two_processes.communicate()
    assert two_processes.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert "the process on cpu was killed by SIGKILL" in stderr.splitlines()[-1]
    pipeline(*AT, "--device", "cpu,cpu")
    require_equal(place, embedded)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_processes_end_with_their_parent(
    two_processes: subprocess.Popen[str], number: signal.Signals
) -> None:
    """An interruption ends all processes and exits 130; a killed parent leaves none behind."""
    processes = children(two_processes)
    two_processes.send_signal(number)
    _, stderr = two_processes.communicate()
    killed = number == signal.SIGKILL
    assert two_processes.returncode == (-signal.SIGKILL if killed else 130)
    assert "Traceback" not in stderr
    if not killed:
        assert "interrupted: what is finished is kept" in stderr.splitlines()[-1]
        assert not any(map(is_alive, processes))
    assert wait_until(lambda: not any(map(is_alive, processes)), 90)  # each looks at its stdin


def test_some_units_fail(pipeline: Any, place: Path) -> None:
    """A unit that fails on one of the devices gives exit code 3 and leaves all others sealed."""
    folder = place / "store" / "corruptions" / "medimeta-c" / "tiny" / "test"
    damaged = min(path for path in folder.glob("*/3/*/images/c.*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:100])
    answer = pipeline(*AT, "--device", "cpu,cpu", rc=None)
    answer.refused(3, "embeddings/tiny-clip/medimeta-c/tiny/test/")
    assert len(artifacts(place)) == len(finished(place)) >= SETS


@pytest.mark.parametrize("device", ["auto,cpu", "cpu,cuda", "cpu,gpu:0"])
def test_several_devices_are_named_one_by_one(pipeline: Any, place: Path, device: str) -> None:
    """In a list of devices each says which it is."""
    pipeline(*AT, "--device", device, rc=None).refused(2, "cuda:<number>")


def test_a_device_that_is_not_there(pipeline: Any, place: Path) -> None:
    """It is refused before any process is started."""
    pipeline(*AT, "--device", "cpu,cuda:99", rc=None).refused(2, "cuda:99")
    assert not finished(place)
