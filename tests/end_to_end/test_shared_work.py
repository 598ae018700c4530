"""Parts, workers and GPUs for every command that builds; and hosts and disks that misbehave."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.remote import wait_until
from tests.end_to_end.options import at

SETS = ("--only", "medimeta-c/tiny/test/contrast/*")
EMBED = ("embed", "--model", "texture")
EVAL = ("eval", "--encoders", "texture", "--protocols", "prototype,knn")
EVALUATED = ("models", "predictions", "results", "summary", "comparisons")


def without(store: Path, *stages: str) -> None:
    """Remove what some stages have made."""
    for stage in stages:
        shutil.rmtree(store / stage, ignore_errors=True)


def test_parts_of_embed_and_eval_make_what_one_command_makes(
    pipeline: Any, tiny_built: Any, store: Path, digests: Any
) -> None:
    """In any order; the last part shows the results, and those before say what is still missing."""
    options = at(tiny_built, store)
    without(store, *EVALUATED)
    shown = pipeline(*EVAL, *options, "--json").json["summary"]
    whole = digests(store)
    without(store, "embeddings", *EVALUATED)
    for part in ("2/3", "1/3", "3/3"):
        pipeline(*EMBED, *options, "--parts", part)
    first = pipeline(*EVAL, *options, "--parts", "2/2", "--json")
    assert first.stdout == ""
    assert "part 2/2 is done" in first.stderr
    assert pipeline(*EVAL, *options, "--parts", "1/2", "--json").json["summary"] == shown
    found = digests(store)
    assert found == {name: whole[name] for name in found}
    assert {name for name in whole if "/texture" in name} <= found.keys()


@contextlib.contextmanager
def scheduler_and_workers(
    environment: dict[str, str], folder: Path, *workers: tuple[str, ...]
) -> Iterator[str]:
    """Run a scheduler of dask and a worker for each tuple of options; yield the address."""
    file = folder / "scheduler.json"
    python = (sys.executable, "-W", "ignore", "-m")
    usual = ("--no-dashboard", "--scheduler-file", str(file))
    commands = [("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")]
    commands += [
        ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *options)
        for options in workers
    ]
    processes = [
        subprocess.Popen(
            [*python, *command, *usual], cwd=folder, env=environment, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    wait = (
        "import sys; from distributed import Client\n"
        "if __name__ == '__main__':\n"
        "    with Client(scheduler_file=sys.argv[1], timeout='30s') as c:\n"
        "        c.wait_for_workers(int(sys.argv[2]), timeout=30); print(c.scheduler.address)\n"
    )
    try:
        assert wait_until(lambda: file.exists() or processes[0].poll() is not None, 90)
        assert processes[0].poll() is None
        command = [*python[:3], "-c", wait, str(file), str(len(workers))]
        asked = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
        yield asked.stdout.strip()
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_workers_with_a_gpu_embed_and_others_do_not(
    pipeline: Any,
    tiny_built: Any,
    store: Path,
    digests: Any,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    """Where a worker says that it has a GPU, only such workers are given units of `embed`."""
    whole = digests(store)
    without(store, "embeddings")
    (tmp_path / "broken.py").write_text(
        "import os\nfrom pipeline.cli import remote\n"
        "remote._built = lambda *_: os._exit(1)\n"  # what is sent here is lost with the worker
    )
    workers = (("--resources", "GPU=1"), ("--preload", str(tmp_path / "broken.py")))
    with scheduler_and_workers(environment, tmp_path, *workers) as address:
        pipeline(*EMBED, *at(tiny_built, store), "--scheduler", address)
    found = digests(store)
    assert found == {name: whole[name] for name in found}
    assert {name for name in whole if name.startswith("embeddings/texture")} <= found.keys()


@pytest.mark.usefixtures("namespaces")
def test_a_disk_that_fills_up_under_workers(pipeline: Any, tiny_built: Any, store: Path) -> None:
    """The command says so once, names the place, and with room completes what it began."""
    mount = store.with_name("mount")
    mount.mkdir()
    build = ("build", "corruptions", "--datasets", "tiny", "--seed", 3, *at(tiny_built, mount))
    build += ("--scheduler", "processes", "--workers", 2)
    _, full, verified, _, again, last = pipeline.in_mount(
        mount,
        "700k",
        [
            ("!cp", "-r", store / "datasets", store / "store.json", mount),
            build,
            ("verify", "--store", mount, "--json"),
            ("!mount", "-o", "remount,size=64m", mount),
            build,
            ("verify", "--store", mount, "--json"),
        ],
    )
    full.refused(3, "the disk is full", str(mount))
    assert {problem["kind"] for problem in verified.json["problems"]} <= {"unsealed"}
    assert again.rc == last.rc == 0, (again, last)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_a_store_without_permission(pipeline: Any, tiny_built: Any, store: Path) -> None:
    """It can be read; building exits 1 and says why, and the store is as it was."""
    folders = [store, *(path for path in store.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    # The system's administrator may write everywhere, unless it gives that up.
    root = os.geteuid() == 0
    taken = ("--bounding-set=-dac_override,-dac_read_search",) if root else ()
    program = ["setpriv", *taken, sys.executable, "-m", "pipeline"]
    options = list(map(str, at(tiny_built, store)))
    build = ["build", "corruptions", "--datasets", "tiny", *options]
    try:
        for command, code in (
            ([*build], 0),
            (["status", *options], 0),
            (["verify", "--store", str(store)], 0),
            ([*build, "--seed", "1"], 1),
            ([*build, "--seed", "1", "--scheduler", "processes", "--workers", "1"], 1),
        ):
            done = subprocess.run(
                [*program, *command],
                cwd=pipeline.folder,
                env=pipeline.environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == code, done
            assert "Traceback" not in done.stderr
            assert code == 0 or f"{store}" in done.stderr
            assert code == 0 or "no permission to write here" in done.stderr
    finally:
        for folder in folders:
            folder.chmod(0o755)
    pipeline("verify", "--store", store)


def test_clocks_that_were_moved(pipeline: Any, tiny_built: Any, store: Path, whole: Any) -> None:
    """Files of another century change nothing: what is sealed is, and what is missing is built."""
    options = at(tiny_built, store)
    build = ("build", "corruptions", "--datasets", "tiny", "--seed", 2, *SETS, *options)
    for year, severity in ((1971, 1), (2100, 2)):
        for path in store.rglob("*"):
            os.utime(path, ((year - 1970) * 31556952,) * 2)
        pipeline(*build, "--only", f"medimeta-c/tiny/test/contrast/{severity}")
        whole(store)
    done = pipeline("build", "corruptions", "--datasets", "tiny", *options)
    assert "nothing to do" in done.stderr


def test_names_with_spaces_and_other_letters(
    pipeline: Any, tiny_built: Any, digests: Any, tmp_path: Path
) -> None:
    """A store and manifests in such folders are built, by threads and by workers, as any other."""
    place = tmp_path / "Läsionen & 'Zellen' 細胞 (2)"
    place.mkdir()
    manifests = Path(shutil.copytree(tiny_built.manifests, place / "my manifests"))
    store = place / "the store"
    shutil.copytree(tiny_built.folder / "store" / "datasets", store / "datasets")
    shutil.copy(tiny_built.folder / "store" / "store.json", store)
    build = ("build", "corruptions", "--datasets", "tiny", *SETS, "--manifests", manifests)
    for part, scheduler in (("1/2", ()), ("2/2", ("--scheduler", "processes"))):
        pipeline(*build, "--store", store, "--workers", 1, "--parts", part, *scheduler)
    pipeline("verify", "--store", store)
    found, alone = digests(store), digests(tiny_built.folder / "store")
    assert found == {name: alone[name] for name in found}
    assert sum("contrast" in name for name in found) == 5
