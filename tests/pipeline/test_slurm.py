"""The scripts for SLURM that the documentation shows, run by a stand-in for SLURM's commands."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.store import Store
from pipeline.verify import verify
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.toy import digests_of

LAB = REPOSITORY / "docs" / "lab"
BUILD = ("build", "corruptions", "--datasets", "tiny-blood")
SBATCH = """#!{python}
import os, re, signal, subprocess, sys
script = sys.argv[1]
found = re.search(r"#SBATCH --array=1-(\\d+)", open(script).read())
count = int(found[1]) if found else 0
for task in range(1, count + 1) or [0]:
    variables = {{"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(count),
                  "SLURM_CPUS_PER_TASK": "1"}}
    log = open(f"{folder}/job-{{task}}.txt", "a")
    job = subprocess.Popen(["bash", *sys.argv[1:]], env=os.environ | variables, stdout=log,
                           stderr=log, start_new_session=True)
    open("{folder}/jobs", "a").write(f"{{job.pid}}\\n")
print("Submitted batch job", job.pid)
"""
SCANCEL = """#!{python}
import os, signal, sys
for job in sys.argv[1:]:
    try:
        os.killpg(int(job), signal.SIGTERM)
    except ProcessLookupError:
        pass
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `sbatch` start jobs on this host, and return the folder of what they print."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = folder / name
        path.write_text(text.format(python=sys.executable, folder=folder))
        path.chmod(0o755)
    program = folder / "pipeline"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__INTERFACE", "lo")
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__LOCAL_DIRECTORY", str(folder))
    return folder


def told(slurm: Path) -> str:
    """Return what all jobs have printed."""
    return "\n".join(path.read_text() for path in slurm.glob("job-*.txt"))


def jobs(slurm: Path) -> list[psutil.Process]:
    """Return the jobs that run."""
    numbers = (slurm / "jobs").read_text().split()
    return [psutil.Process(int(pid)) for pid in numbers if psutil.pid_exists(int(pid))]


def test_an_array_of_jobs_builds_all(
    run_pipeline: Callable[..., subprocess.Popen[bytes]], slurm: Path, tmp_path: Path
) -> None:
    """Its jobs, at the same time, make what one command makes, and none does another's part."""
    root = tmp_path / "store"
    script = tmp_path / "build.sbatch"  # a copy: a user adapts it, here to fewer jobs
    script.write_text((LAB / "build.sbatch").read_text().replace("--array=1-8", "--array=1-3"))
    # By way of `run_pipeline`, which knows the dataset.
    program = f"import os, sys; os.execvp('sbatch', ['sbatch', '{script}', *sys.argv[1:]])"
    sets = ("--only", "medimeta-c/tiny-blood/test/contrast/*")
    submit = run_pipeline(*BUILD, *sets, "--store", root, program=("-c", program))
    assert submit.wait(30) == 0
    _, running = psutil.wait_procs(jobs(slurm), timeout=60)
    assert not running
    assert told(slurm).count(" failed,") == told(slurm).count(" 0 failed,") == 3
    assert run_pipeline(*BUILD, *sets, "--store", tmp_path / "one").wait() == 0
    assert digests_of(root) == digests_of(tmp_path / "one")
    assert verify(Store(root)) == []


def test_workers_that_slurm_starts_build_all(
    run_pipeline: Callable[..., subprocess.Popen[bytes]], slurm: Path, tmp_path: Path
) -> None:
    """`dask-jobqueue` submits workers as there is work, and takes them back when it ends."""
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    script = tmp_path / "cluster.py"
    shutil.copy(LAB / "cluster.py", script)
    command = [sys.executable, str(script), "2"]
    with (
        (slurm / "job-scheduler.txt").open("w") as said,
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=said, text=True
        ) as cluster,
    ):
        try:
            assert cluster.stdout is not None
            address = cluster.stdout.readline().strip()
            assert address.startswith("tcp://"), told(slurm)
            root = tmp_path / "store"
            sets = ("--only", "medimeta-c/tiny-blood/test/contrast/*")
            build = run_pipeline(*BUILD, *sets, "--scheduler", address, "--store", root)
            with contextlib.suppress(subprocess.TimeoutExpired):
                build.wait(180)
            build.kill()  # nothing where it has ended
            assert build.wait() == 0, told(slurm)
        finally:
            cluster.terminate()
            for job in jobs(slurm):
                subprocess.run(["scancel", str(job.pid)], check=True)
    assert run_pipeline(*BUILD, *sets, "--store", tmp_path / "one").wait() == 0
    assert digests_of(root) == digests_of(tmp_path / "one")
