"""Workers of dask: the same artifacts, whoever builds them and whoever dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.cli.remote import wait_until
from pipeline.store import Store
from pipeline.verify import verify
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.toy import Digests, digests_of

COUNTED = """
import os, signal
from stages.corrupt.stage import Render

def counted(self, unit, inputs, writer, render=Render.run):
    with open(os.environ["RENDERED"], "a") as file:
        file.write(f"{unit.recipe.label}\\n")
    if os.environ.get("DEADLY") == unit.recipe.label:
        os.kill(os.getpid(), signal.SIGKILL)
    render(self, unit, inputs, writer)

if Render.run.__name__ != "counted":  # a worker reads this more than once
    Render.run = counted
"""
"""A worker that adds a line to a file for every unit it begins to render, and may die of one."""

TINY = ("build", "corruptions", "--datasets", "tiny-blood")
BUILD = ("build", "corruptions", "--datasets", "phantom-blood", "--workers", "2")
SECONDS = 90

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory, run_pipeline: Start) -> Digests:
    """Return the digests that threads of one process make."""
    root = tmp_path_factory.mktemp("threads") / "store"
    assert run_pipeline(*BUILD, "--store", root).wait(SECONDS) == 0
    return digests_of(root)


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Counter[str]]:
    """Return a function that tells how often each set was begun to be rendered by workers."""
    file, program = tmp_path / "rendered", tmp_path / "counted.py"
    file.touch()
    program.write_text(COUNTED)
    monkeypatch.setenv("RENDERED", str(file))
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", f"['{program}']")
    return lambda: Counter(file.read_text().splitlines())


@contextlib.contextmanager
def dask(program: str, *arguments: str | Path, package: Path = REPOSITORY) -> Iterator[int]:
    """Run a scheduler or a worker of dask, yielding its process id."""
    python = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{program}"]
    process = subprocess.Popen(
        [*python, *map(str, arguments)],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(package)},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """Return the address of a scheduler without workers."""
    file = tmp_path / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file)
    with dask("scheduler", *options):
        assert wait_until(file.exists, SECONDS)
        assert wait_until(lambda: "tcp://" in file.read_text(), SECONDS)
        yield "tcp://" + file.read_text().partition("tcp://")[2].partition('"')[0]


def worker(scheduler: str, *options: str, package: Path = REPOSITORY) -> Any:
    """Run a worker with one thread until the end of the block."""
    usual = ("--nthreads", "1", "--no-dashboard", "--local-directory", "/tmp")
    return dask("worker", scheduler, *usual, *options, package=package)


def begun(root: Path) -> bool:
    """Tell whether any set of a build is published."""
    return any(root.glob("corruptions/**/records/*.json"))


def test_processes_make_what_threads_make(
    one_run: Digests, run_pipeline: Start, tmp_path: Path
) -> None:
    """The digests do not depend on who builds."""
    build = run_pipeline(*BUILD, "--scheduler", "processes", "--store", tmp_path / "store")
    assert build.wait(SECONDS) == 0
    assert digests_of(tmp_path / "store") == one_run


def test_a_killed_worker_process_costs_one_unit(
    one_run: Digests, run_pipeline: Start, tmp_path: Path, rendered: Callable[[], Counter[str]]
) -> None:
    """What it was rendering is rendered by another, and nothing else is rendered twice."""
    root = tmp_path / "store"
    build = run_pipeline(*BUILD, "--scheduler", "processes", "--store", root)
    assert wait_until(lambda: begun(root), SECONDS)
    children = psutil.Process(build.pid).children(recursive=True)
    workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
    assert workers
    workers[0].send_signal(signal.SIGKILL)
    assert build.wait(SECONDS) == 0
    assert digests_of(root) == one_run
    assert verify(Store(root)) == []
    times = rendered()
    assert len(times) == 35
    assert times.total() <= 36


def test_a_unit_that_kills_its_workers_fails_alone(
    run_pipeline: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rendered: Callable[[], Counter[str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Those that wait at the same worker are not blamed; four workers die of it, and no more."""
    deadly = "corruptions/medimeta-c/tiny-blood/test/contrast/3"
    monkeypatch.setenv("DEADLY", deadly)
    root = tmp_path / "store"
    build = run_pipeline(*TINY, "--workers=1", "--scheduler", "processes", "--store", root)
    assert build.wait(SECONDS) == 3
    told = capfd.readouterr().err
    assert f"error: {deadly}: its worker died every time it was tried" in told
    assert "Traceback" not in told
    assert rendered() == Counter(dict.fromkeys(rendered(), 1) | {deadly: 4})
    assert len(rendered()) == 35
    assert {problem.kind for problem in verify(Store(root))} <= {"leftover_staging", "unsealed"}
    assert sum(manifest.stage == "corruptions" for manifest in Store(root).manifests()) == 34


def test_a_killed_command_is_completed_by_any_other(
    one_run: Digests, run_pipeline: Start, tmp_path: Path
) -> None:
    """With its worker processes gone, too, threads go on from what is published."""
    root = tmp_path / "store"
    build = run_pipeline(*BUILD, "--scheduler", "processes", "--store", root)
    assert wait_until(lambda: begun(root), SECONDS)
    children = psutil.Process(build.pid).children(recursive=True)
    for process in (psutil.Process(build.pid), *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    build.wait()
    assert run_pipeline(*BUILD, "--store", root).wait(SECONDS) == 0
    assert digests_of(root) == one_run
    assert verify(Store(root)) == []


def test_a_scheduler_with_workers_that_die_and_come(
    one_run: Digests, run_pipeline: Start, tmp_path: Path, scheduler: str
) -> None:
    """A run begins before the first worker, survives one's end, and is ended by another."""
    root = tmp_path / "store"
    with worker(scheduler, "--no-nanny") as first:
        build = run_pipeline(*BUILD, "--scheduler", scheduler, "--store", root)
        assert wait_until(lambda: begun(root), SECONDS)
        os.kill(first, signal.SIGKILL)
        with worker(scheduler, "--no-nanny", "--nthreads", "3"):
            assert build.wait(SECONDS) == 0
    assert digests_of(root) == one_run
    assert verify(Store(root)) == []


def test_a_worker_with_other_code_is_refused(
    run_pipeline: Start, tmp_path: Path, scheduler: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line says which worker, and why; nothing is built by it."""
    other = tmp_path / "other"
    for name in ("pipeline", "stages", "manifests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, other / name, ignore=ignored)
    with (other / "pipeline" / "digest.py").open("a") as file:
        file.write("\n# another version\n")
    root = tmp_path / "store"
    with worker(scheduler, "--no-nanny", package=other):
        assert wait_until(lambda: bool(_workers(scheduler)), SECONDS)
        assert run_pipeline(*BUILD, "--scheduler", scheduler, "--store", root).wait(SECONDS) == 1
        (error,) = [line for line in capfd.readouterr().err.splitlines() if "error:" in line]
        assert "has other code" in error
        with worker(scheduler, "--no-nanny"):
            assert wait_until(lambda: len(_workers(scheduler)) == 2, SECONDS)
            build = run_pipeline(*BUILD, "--scheduler", scheduler, "--store", root)
            assert build.wait(SECONDS) == 0
    assert "is not used" in capfd.readouterr().err
    assert verify(Store(root)) == []


def test_an_address_where_nobody_answers_is_told(
    run_pipeline: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line, which names the option, and no traceback."""
    address = "tcp://127.0.0.1:1"
    program = (
        "from pipeline.cli import main, schedulers\nschedulers._CONNECT_SECONDS = '0.5s'\nmain()"
    )
    options = ("--scheduler", address, "--store", tmp_path / "store")
    answer = run_pipeline(*BUILD, *options, program=("-c", program))
    assert answer.wait(SECONDS) == 1
    error = capfd.readouterr().err
    assert f"--scheduler {address}: no scheduler answers" in error
    assert "Traceback" not in error


def test_the_job_script_for_slurm_starts_our_kind_of_worker() -> None:
    """As the documentation writes it: one thread, a limit of memory, an end before the job's."""
    script = (
        "from dask_jobqueue import SLURMCluster\n"
        "if __name__ == '__main__':\n"
        "    with SLURMCluster(cores=1, processes=1, memory='4GB', walltime='01:00:00',\n"
        "            interface='lo', scheduler_options={'dashboard_address': None},\n"
        "            worker_extra_args=['--lifetime', '55m', '--lifetime-stagger', '4m']) as c:\n"
        "        print(c.job_script())\n"
    )
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    python = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(python, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    (command,) = [line for line in done.stdout.splitlines() if "dask_worker" in line]
    assert "#SBATCH -t 01:00:00" in done.stdout
    for part in ("tcp://", "--nthreads 1", "--memory-limit 3.73GiB", "--lifetime 55m"):
        assert part in command


def _workers(scheduler: str) -> list[str]:
    script = (
        "import sys; from distributed import Client\n"
        "if __name__ == '__main__':\n"
        "    with Client(sys.argv[1]) as c: print(*c.nthreads())"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, scheduler]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()
