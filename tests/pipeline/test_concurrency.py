"""Several processes that build the same things at once on one store."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.store import STAGING, Store
from pipeline.verify import verify
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.toy import Digests, Toy, digests_of, values_of

ROUNDS = 3


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("leases", [(), ("--without-leases",)])
def test_processes_that_build_the_same_things_at_once_agree(
    count: int,
    leases: tuple[str, ...],
    run_processes: Callable[..., None],
    reference: Digests,
    tmp_path: Path,
) -> None:
    """All succeed and each artifact is sealed once, equal, even if leases never hold."""
    for turn in range(ROUNDS):
        root = tmp_path / str(turn)
        run_processes(root, "--together", str(count), *leases)
        assert digests_of(root) == reference
        assert set(Counter(m.label for m in Store(root).manifests()).values()) == {1}
        assert verify(Store(root)) == []
        assert list((root / STAGING).iterdir()) == []


def test_processes_with_different_rounding_agree_on_the_first(
    run_processes: Callable[..., None], tmp_path: Path
) -> None:
    """Floats within the tolerance: each shard has one writer's values, which the index digests."""
    for turn in range(ROUNDS):
        root = tmp_path / str(turn)
        run_processes(root, "--together", "4", "--without-leases", "--noise", "0.125")
        assert verify(Store(root)) == []
        exact = tmp_path / "exact"
        if not exact.exists():
            run_processes(exact, "--together", "1")
        node = Toy().numbers()
        difference = values_of(root, node, "floats") - values_of(exact, node, "floats")
        for shard in np.split(difference, [3, 6]):
            np.testing.assert_allclose(shard, shard.flat[0], atol=1e-6)


def test_eight_commands_share_the_sets_of_one_split() -> None:
    """Every set is sealed once, no unit is rendered twice, and the digests are those of one."""
    command = [sys.executable, "-m", "benchmarks.together", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "35 units were rendered, 0 of them more than once" in done.stdout
    assert "35 of 35 sets are sealed, 0 of them more than once" in done.stdout
    assert "digests are those of one process: True; problems found by verify: 0" in done.stdout


def test_parts_of_a_command_make_what_one_command_makes(
    run_pipeline: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """The jobs of an array, at the same time or the last first; a part of none is refused."""
    command = ("build", "corruptions", "--datasets", "tiny-blood", "--workers", "1")
    command += ("--only", "medimeta-c/tiny-blood/test/contrast/*")
    assert run_pipeline(*command, "--store", tmp_path / "one").wait() == 0
    for part in ("3/3", "1/3", "2/3"):
        built = run_pipeline(*command, "--parts", part, "--store", tmp_path / "in turn")
        assert built.wait() == 0
    parts = [
        run_pipeline(*command, f"--parts={number}/3", "--store", tmp_path / "at once")
        for number in (1, 2, 3)
    ]
    assert [part.wait() for part in parts] == [0, 0, 0]
    for name in ("in turn", "at once"):
        assert digests_of(tmp_path / name) == digests_of(tmp_path / "one")
        assert verify(Store(tmp_path / name)) == []
    assert run_pipeline(*command, "--parts", "4/3", "--store", tmp_path / "one").wait() == 2


def test_commands_that_build_the_same_sets_at_once_all_succeed(
    run_pipeline: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Two command lines on one store exit 0 and leave what one would have left."""
    command = ("build", "corruptions", "--datasets", "tiny-blood", "--workers", "1")
    sets = ("--only", "medimeta-c/tiny-blood/test/contrast/*")
    both = [run_pipeline(*command, *sets, "--store", tmp_path / "both") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert run_pipeline(*command, *sets, "--store", tmp_path / "one").wait() == 0
    assert digests_of(tmp_path / "both") == digests_of(tmp_path / "one")
    assert verify(Store(tmp_path / "both")) == []
