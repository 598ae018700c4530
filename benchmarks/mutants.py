"""How many small faults put into the code make a test fail.

``python -m benchmarks.mutants PART … [--sample N] [--jobs N] [--out FILE]`` takes the modules and
the tests of each part from `mutants.toml`, changes one operator, number, truth value, loop or
decorator at a time (cosmic-ray's operators), and runs the tests in a copy of the repository. It
prints how many mutants the tests killed, with the 95 % Wilson interval where they are a sample, and
every survivor. A run that takes five times as long as the untouched one is a killed mutant too.
FILE gets a line of JSON for each; mutants that it names already are not tested again. Mutants
that differ from the module, or from each other, in annotations only are left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from cosmic_ray.ast import Visitor, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.tree import NodeOrLeaf as Node
from scipy.stats import binomtest

ROOT = Path(__file__).parents[1]
DECLARED = Path(__file__).with_suffix(".toml")
NEED_ARGUMENTS = ("VariableReplacer", "VariableInserter")


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of a module: the line, as it is and as it becomes."""

    module: str
    line: int
    before: str
    after: str


@dataclass(frozen=True)
class Place:
    """Where an operator of cosmic-ray can change a module."""

    module: str
    operator: str
    occurrence: int


class _Places(Visitor):
    """Counts the places of one operator."""

    def __init__(self, operator: Operator) -> None:
        self.count = 0
        self._operator = operator

    def visit(self, node: Node) -> Node:
        self.count += sum(1 for _ in self._operator.mutation_positions(node))
        return node


def places(module: str) -> list[Place]:
    """Return every place of a module that can be changed."""
    tree = get_ast((ROOT / module).read_text(encoding="utf-8"))
    found = []
    for name in operator_names():
        if name.rpartition("/")[2] not in NEED_ARGUMENTS:
            counter = _Places(get_operator(name)())
            counter.walk(tree)
            found += [Place(module, name, occurrence) for occurrence in range(counter.count)]
    return found


def mutants(of: Iterable[Place]) -> Iterator[tuple[Mutant, str]]:
    """Yield the mutants of places, each with its module's text as it then is.

    Those that mean the same as the module or an earlier mutant are left out.
    """
    texts: dict[str, str] = {}
    seen: dict[str, set[str | None]] = {}
    for place in of:
        if place.module not in texts:
            texts[place.module] = (ROOT / place.module).read_text(encoding="utf-8")
            seen[place.module] = {None, _meaning(texts[place.module])}
        text, operator = texts[place.module], get_operator(place.operator)()
        changed = MutationVisitor.mutate_code(text, operator, place.occurrence)
        meaning = _meaning(changed)
        if meaning not in seen[place.module]:
            seen[place.module].add(meaning)
            yield _described(place.module, text, changed), changed


def _meaning(text: str) -> str | None:
    """Return what a module does, its syntax tree without annotations; None for no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def _described(module: str, text: str, changed: str) -> Mutant:
    lines, others = text.splitlines(), changed.splitlines()
    same = SequenceMatcher(None, lines, others, autojunk=False)
    _, start, end, first, last = next(code for code in same.get_opcodes() if code[0] != "equal")
    before, after = (
        " ".join("\n".join(part).split()) for part in (lines[start:end], others[first:last])
    )
    return Mutant(module, start + 1, before, after)


@dataclass(frozen=True)
class Part:
    """Modules, and the tests that judge them, as `mutants.toml` declares them."""

    modules: tuple[str, ...]
    """Patterns of files."""
    tests: tuple[str, ...]
    leave: tuple[str, ...] = ()
    """Names of modules that are left out."""
    select: Mapping[str, str] | None = None

    def tests_of(self) -> dict[str, list[str]]:
        """Return the arguments of pytest for each module."""
        paths = sorted(path for pattern in self.modules for path in ROOT.glob(pattern))
        return {
            str(path.relative_to(ROOT)): self._arguments(path.stem)
            for path in paths
            if path.stem not in self.leave
        }

    def _arguments(self, name: str) -> list[str]:
        named = dict.fromkeys(test.format(name=name) for test in self.tests)
        found = [test for test in named if (ROOT / test).exists()]
        if self.select is None:
            return found
        return [*found, "-k", self.select.get(name, f"{name} or {name.replace('_', '')}")]


class Copy:
    """A copy of the repository in which one module at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "main"
        listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        self._compiled = folder / "compiled"
        self._changes = 0
        data = os.environ.get("MEDSHARDS_TEST_DATA", str(ROOT.parent / "shared" / "data"))
        self._environment = os.environ | {
            "MEDSHARDS_TEST_DATA": data,
            "NUMBA_CACHE_DIR": str(self._compiled),
            "PYTHONPATH": str(self.root),
        }

    def passes(self, tests: Sequence[str], timeout: float) -> bool:
        """Whether the tests pass in time."""
        command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", *tests)
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(self._compiled, ignore_errors=True)

    @contextmanager
    def changed(self, module: str, text: str) -> Iterator[None]:
        """Hold a module changed."""
        path = self.root / module
        original = path.read_bytes()
        try:
            self._write(path, text.encode())
            yield
        finally:
            self._write(path, original)

    def _write(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        # Compiled modules are told from others by size and whole seconds.
        self._changes += 1
        os.utime(path, (self._changes, self._changes))


class Trials:
    """Mutants tried in copies of the repository, as many at a time as there are copies."""

    def __init__(
        self, folder: Path, jobs: int, tests: dict[str, list[str]], texts: dict[Mutant, str]
    ) -> None:
        self._tests, self._texts = tests, texts
        self._copies: queue.Queue[Copy] = queue.Queue()
        for number in range(jobs):
            self._copies.put(Copy(folder / str(number)))
        self._seconds: dict[str, float] = {}

    def time(self, module: str) -> None:
        """Time a module's tests without a change; raise SystemExit where they fail."""
        with self._copy() as copy:
            started = time.perf_counter()
            if not copy.passes(self._tests[module], 600):
                raise SystemExit(f"{module}: its tests fail without a change")
            self._seconds[module] = time.perf_counter() - started

    def killed(self, mutant: Mutant) -> bool:
        """Whether a test fails, or ends too late, with this mutant."""
        with self._copy() as copy, copy.changed(mutant.module, self._texts[mutant]):
            return not copy.passes(
                self._tests[mutant.module], 20 + 5 * self._seconds[mutant.module]
            )

    @contextmanager
    def _copy(self) -> Iterator[Copy]:
        copy = self._copies.get()
        try:
            yield copy
        finally:
            self._copies.put(copy)


def main() -> None:
    """Try the mutants of the named parts and print a line for each part and survivor."""
    declared = {
        name: Part(**fields)
        for name, fields in tomllib.loads(DECLARED.read_text(encoding="utf-8")).items()
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=declared, metavar="PART")
    parser.add_argument("--sample", type=int, help="at most this many mutants of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    known = _known(given.out)
    for part in given.parts:
        tests = declared[part].tests_of()
        where = [place for module in tests for place in places(module)]
        random.Random(given.seed).shuffle(where)
        found = dict(islice(mutants(where), given.sample))
        left = [mutant for mutant in found if mutant not in known]
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
            trials = Trials(Path(folder), given.jobs, tests, found)
            list(pool.map(trials.time, sorted({mutant.module for mutant in left})))
            for mutant, killed in zip(left, pool.map(trials.killed, left), strict=True):
                known[mutant] = killed
                _note(given.out, mutant, killed)
        of = len(where) if len(found) == given.sample else 0
        _print(part, of, {mutant: known[mutant] for mutant in found})


def _known(path: Path | None) -> dict[Mutant, bool]:
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {Mutant(**row["mutant"]): row["killed"] for row in rows}


def _note(path: Path | None, mutant: Mutant, killed: bool) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mutant": asdict(mutant), "killed": killed}) + "\n")


def _print(part: str, of: int, killed: dict[Mutant, bool]) -> None:
    count, n = sum(killed.values()), len(killed)
    line = f"{part}: {count} of {n} killed, {100 * count / n:.1f} %"
    if of:
        low, high = binomtest(count, n).proportion_ci(method="wilson")
        line += f" [{100 * low:.1f}, {100 * high:.1f}], drawn at {of} places"
    print(line)
    for mutant in sorted(m for m, is_killed in killed.items() if not is_killed):
        print(f"  {mutant.module}:{mutant.line}\n    - {mutant.before}\n    + {mutant.after}")


if __name__ == "__main__":
    main()
