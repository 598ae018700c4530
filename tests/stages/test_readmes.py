"""The README of each stage: short, and its example does what it shows.

An example is a Python block with prompts, or a console block whose lines after ``$`` are commands.
A console block shows standard output, where `...` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = sorted(path.parent.name for path in (ROOT / "stages").glob("*/__init__.py"))
SCREEN = 60
LIKE = doctest.ELLIPSIS


@pytest.fixture(params=STAGES)
def readme(request: pytest.FixtureRequest) -> str:
    """Return the README of a stage."""
    text: str = (ROOT / "stages" / request.param / "README.md").read_text()
    return text


def test_it_is_one_screen(readme: str) -> None:
    """A README says what comes in and out, what holds, and how to add a unit, on one screen."""
    assert len(readme.splitlines()) <= SCREEN
    headings = re.findall(r"^## (.*)$", readme, flags=re.MULTILINE)
    assert headings == ["In", "Out", "Invariants", "To add", "Example"]


def test_what_it_names_exists(readme: str) -> None:
    """Paths of the repository that it names are there, those of its own folder too."""
    stage = ROOT / "stages" / readme.splitlines()[0].removeprefix("# ").lower()
    named = re.findall(r"`([\w./-]+\.(?:py|toml|json)|(?:[\w-]+/)*\w+/|tests/[\w/]+)`", readme)
    places = (ROOT, ROOT / "manifests", stage)
    written = {"files/", "sources.toml", "export.json"}  # in a store or an export
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert set(missing) <= written


def test_its_example_works(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown is what comes out."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(python|console)\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for kind, text in blocks:
        (_run_python if kind == "python" else _run_commands)(text)


def _run_python(text: str) -> None:
    example = doctest.DocTestParser().get_doctest(text, {}, "example", None, 0)
    assert example.examples
    said: list[str] = []
    doctest.DocTestRunner(optionflags=LIKE, verbose=False).run(example, out=said.append)
    assert not said, "".join(said)


def _run_commands(text: str) -> None:
    kept = {name: value for name, value in os.environ.items() if "MEDSHARDS" not in name}
    environment = kept | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(Path.cwd())}
    for command, shown in re.findall(r"^\$ pipeline (.*)\n((?:[^$].*\n|\n)*)", text, re.MULTILINE):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *shlex.split(command)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done
        assert not shown or doctest.OutputChecker().check_output(shown, done.stdout, LIKE), done
