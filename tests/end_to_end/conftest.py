"""Fixtures of the end-to-end tests: the command line as a person starts it, and small stores.

Every command is a process of its own, with a home folder that belongs to the tests. Stores that
several tests start from are built once per run, also when several workers share it, and copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from tests.end_to_end.preloaded import run_preloaded

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("MEDSHARDS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
TINY_COUNTS = {"train": 40, "val": 8, "test": 24}

# Runs the command line, then writes the names of all modules that were loaded. With "isolated"
# the network is blocked and the libraries that hold models cannot be imported.
DRIVER = """
import json, pathlib, sys

_, report, mode, *sys.argv[1:] = sys.argv
sys.argv[0] = "pipeline"
if mode == "isolated":
    import socket

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {"torch", "open_clip", "transformers", "timm"}:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def refuse(*args, **options):
        raise AssertionError("the network was used")

    class Unplugged(socket.socket):
        connect = connect_ex = bind = sendto = refuse

    sys.meta_path.insert(0, Absent())
    socket.socket, socket.getaddrinfo = Unplugged, refuse

from pipeline.cli import main

try:
    main()
finally:
    pathlib.Path(report).write_text(json.dumps(sorted(sys.modules)))
"""


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    rc: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The document on stdout."""
        return json.loads(self.stdout)

    def refused(self, rc: int, *phrases: str) -> None:
        """Assert the exit code and one clear line, without a traceback, that says all phrases."""
        assert self.rc == rc, self
        assert "Traceback" not in self.stderr
        progress, _, error = self.stderr.rpartition("error: ")
        assert not progress or progress.endswith("\n"), self.stderr
        line, *after = error.splitlines()
        assert not [text for text in after if not text.startswith("not begun for want")], error
        for phrase in phrases:
            assert phrase in line


@dataclass(frozen=True)
class CommandLine:
    """Starts `pipeline` in a folder and an environment that touch nothing of the user's."""

    folder: Path
    environment: dict[str, str]
    preloaded: bool = False
    """Whether to fork commands from a process that has imported what they import."""

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **(pipes | options))

    def __call__(self, *arguments: object, rc: int | None = 0) -> Answer:
        """Run a command to its end; `rc` is the exit code it must have, None for any."""
        if self.preloaded:
            words = list(map(str, arguments))
            answer = Answer(*run_preloaded(words, self.folder, self.environment))
        else:
            with self.start(*arguments) as process:
                stdout, stderr = process.communicate()
            answer = Answer(process.returncode, stdout, stderr)
        assert rc is None or answer.rc == rc, answer
        return answer

    def modules(self, *arguments: object, mode: str = "free", rc: int = 0) -> set[str]:
        """Run a command in the driver and return the top-level modules it has loaded."""
        report = self.folder / f"modules-{os.urandom(4).hex()}.json"
        command = [sys.executable, "-c", DRIVER, str(report), mode, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == rc, done
        loaded = {name.partition(".")[0] for name in json.loads(report.read_text())}
        assert "pipeline" in loaded
        return loaded

    def in_mount(self, mount: Path, size: str, steps: Sequence[Sequence[object]]) -> list[Answer]:
        """Run steps in a namespace of their own where `mount` is a file system of `size` bytes.

        A step is a command of `pipeline`, or one of the system if it begins with "!".
        """
        script = "import json,subprocess,sys\n"
        script += "for step in json.loads(sys.argv[1]):\n"
        script += " done = subprocess.run(step, capture_output=True, text=True)\n"
        script += " print(json.dumps([done.returncode, done.stdout, done.stderr]))\n"
        commands = [["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)]]
        for step in steps:
            first, *others = map(str, step)
            own = (
                [first[1:]] if first.startswith("!") else [sys.executable, "-m", "pipeline", first]
            )
            commands.append(own + others)
        done = subprocess.run(
            ["unshare", "-rm", sys.executable, "-c", script, json.dumps(commands)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        mounted, *answers = [Answer(*json.loads(line)) for line in done.stdout.splitlines()]
        assert mounted.rc == 0, mounted
        return answers


@dataclass(frozen=True)
class TinySource:
    """A small gray two-class dataset in MedMNIST's form, and the manifest that declares it."""

    folder: Path
    """Holds `data/<name>.npz` and `manifests/datasets/<name>.toml`."""
    name: str = "tiny"
    counts: dict[str, int] = field(default_factory=lambda: dict(TINY_COUNTS))

    @property
    def data(self) -> Path:
        """The folder for `--from`."""
        return self.folder / "data"

    @property
    def manifests(self) -> Path:
        """The folder for `--manifests`."""
        return self.folder / "manifests"

    @property
    def file(self) -> Path:
        """The npz."""
        return self.data / f"{self.name}.npz"

    @property
    def declaration(self) -> Path:
        """The manifest."""
        return self.manifests / "datasets" / f"{self.name}.toml"

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the npz: class 1 has a bright square, and a fifth is mislabelled.

        So no encoder is without error, and every ratio of errors is defined.
        """
        rng = np.random.default_rng(7)
        arrays = {}
        for split, count in self.counts.items():
            labels = np.arange(count) % 2
            images = rng.integers(40, 120, (count, 28, 28))
            images[labels == 1, 8:20, 8:20] += 90
            labels[::5] ^= 1
            arrays[f"{split}_images"] = images.astype(np.uint8)
            arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
        return arrays

    def write(self, arrays: dict[str, np.ndarray] | None = None) -> None:
        """Write the npz and the manifest that goes with it."""
        self.data.mkdir(parents=True, exist_ok=True)
        np.savez(self.file, **(self.arrays() if arrays is None else arrays))
        self.declare()

    def declare(self, **fields: str) -> None:
        """Write the manifest; `fields` are raw TOML values that replace the usual ones.

        An empty value leaves the field out; a field that is not usual is added.
        """
        md5 = hashlib.md5(self.file.read_bytes()).hexdigest()
        counts = ", ".join(f"{split} = {count}" for split, count in self.counts.items())
        source = f'kind = "placed", url = "https://example.invalid", file = "{self.file.name}"'
        usual = {
            "schema": "1",
            "id": f'"{self.name}"',
            "title": '"Tiny"',
            "collection": '"tests"',
            "modality": '"noise"',
            "task": '"binary"',
            "classes": '["dark", "bright"]',
            "channels": "1",
            "size": "28",
            "citation": '"none"',
            "licence": '{spdx = "CC0-1.0", redistribution = "pixels", share_alike = false, '
            'source = "these tests"}',
            "reader": '{form = "medmnist"}',
            "source": f'{{{source}, instructions = "Ask for it.", md5 = "{md5}"}}',
            "splits": f"{{{counts}}}",
        }
        lines = [f"{key} = {value}" for key, value in (usual | fields).items() if value]
        self.declaration.parent.mkdir(parents=True, exist_ok=True)
        self.declaration.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    (folder / "end-to-end").mkdir(exist_ok=True)
    return folder / "end-to-end"


@pytest.fixture(scope="session")
def environment(shared_folder: Path) -> dict[str, str]:
    """Return the environment of every command: no user folder, one cache of compiled kernels."""
    private = ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEDSHARDS_", "PYTEST_", "COV_", "HF_")) and name not in private
    }
    folders = {name: str(shared_folder / name.lower()) for name in private}
    # Many short processes: each would start a thread per core that spins for nothing.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return kept | folders | threads | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="session")
def command_line(environment: dict[str, str]) -> Callable[[Path], CommandLine]:
    """Return a function that gives the command line, started in a folder."""
    return lambda folder: CommandLine(folder, environment, preloaded=True)


@pytest.fixture
def pipeline(tmp_path: Path, command_line: Callable[[Path], CommandLine]) -> CommandLine:
    """Return the command line, started in this test's own folder."""
    return command_line(tmp_path)


@pytest.fixture(scope="session")
def once(shared_folder: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a function that makes a named folder once per test run, whichever worker is first."""

    def make(name: str, build: Callable[[Path], None]) -> Path:
        folder = shared_folder / name
        with FileLock(shared_folder / f"{name}.lock"):
            if not (folder / "ready").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                (folder / "ready").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_study(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], CommandLine],
) -> Path:
    """Return a folder with the tiny dataset, its evaluated `store`, and its `eval.json`."""

    def build(folder: Path) -> None:
        source = TinySource(folder)
        source.write()
        run = command_line(folder)
        at = ("--store", folder / "store", "--manifests", source.manifests)
        run("build", "all", *at, "--datasets", "tiny", "--from", source.data)
        run("embed", *at, "--model", "texture,pixels")
        answer = run("eval", *at, "--baseline", "pixels", "--json")
        (folder / "eval.json").write_text(answer.stdout)

    return once("tiny", build)


@pytest.fixture
def tiny(tmp_path: Path) -> TinySource:
    """Return this test's own tiny dataset, from which nothing is built yet."""
    source = TinySource(tmp_path)
    source.write()
    return source


@pytest.fixture
def tiny_built(tiny_study: Path, tmp_path: Path) -> TinySource:
    """Return this test's own copy of the tiny dataset and of its `store`."""
    shutil.copytree(tiny_study, tmp_path, dirs_exist_ok=True)
    return TinySource(tmp_path)


@pytest.fixture(scope="session")
def read_only_tiny(tiny_study: Path) -> TinySource:
    """Return the tiny dataset and `store` that all tests share: to be read, never changed."""
    return TinySource(tiny_study)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return the folder of this test's store; it need not exist."""
    return tmp_path / "store"


@pytest.fixture
def digests(pipeline: CommandLine) -> Callable[[Path], dict[str, str]]:
    """Return a function that gives the content digest of every sealed artifact of a store."""

    def found(store: Path, *selectors: str) -> dict[str, str]:
        rows = pipeline("list", "artifacts", "--store", store, "--json").json["artifacts"]
        return {f"{row['stage']}/{row['name']}": row["content_digest"] for row in rows}

    return found


@pytest.fixture
def whole(pipeline: CommandLine) -> Callable[[Path], None]:
    """Return a function that asserts that nothing half-written lies in a store."""

    def check(store: Path) -> None:
        if not store.exists():
            return
        answer = pipeline("verify", "--store", store, "--json", rc=None)
        problems = answer.json["problems"]
        # Artifacts that were begun hold only whole, published shards: they are no damage. A signal
        # in the first moment of a run may leave a staging folder, which the next build sweeps.
        kinds = {problem["kind"] for problem in problems}
        assert kinds <= {"unsealed", "leftover_staging"}, problems
        assert answer.rc == (5 if problems else 0)
        staging = store / "staging"
        assert "leftover_staging" in kinds or not staging.exists() or not list(staging.iterdir())

    return check


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real PneumoniaMNIST file of version 1."""
    folder = DATA / "pneumoniamnist_v1"
    if not (folder / "pneumoniamnist.npz").is_file():
        pytest.skip(f"no real data at {folder}; set MEDSHARDS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def namespaces(shared_folder: Path) -> None:
    """Skip where a user may not mount a file system in a namespace of their own."""
    mount = shared_folder / "mount"
    mount.mkdir(exist_ok=True)
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(mount)]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("user namespaces are not permitted here, so no file system can be mounted")
