"""What `doctor` finds out of a file system and of a machine that renders otherwise."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.probe import Finding, probe
from stages.corrupt import golden


def found(folder: Path) -> dict[str, Finding]:
    """Return what is found, by name."""
    return {one.name: one for one in probe(folder)}


def test_a_sound_file_system_has_nothing_that_fails(tmp_path: Path) -> None:
    """All that a store needs works on the local disk, and nothing stays there."""
    findings = found(tmp_path / "not" / "there")
    assert [one for one in findings.values() if one.state == "fails"] == []
    needed = {"replace", "rename of folders", "O_EXCL", "fsync", "flock", "writable"}
    assert {findings[name].state for name in needed} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def refuses(code: int) -> Callable[..., None]:
    """Return what the file system refuses."""

    def call(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def links_that_replace(source: Path, target: Path) -> None:
    """Link as a file system that replaces what is there."""
    Path(target).write_bytes(Path(source).read_bytes())


FAULTS = [
    ("link", refuses(errno.EPERM), "hard links", "note"),
    ("link", links_that_replace, "hard links", "fails"),
    ("fsync", refuses(errno.EIO), "fsync", "fails"),
]


@pytest.mark.parametrize(("function", "fault", "name", "state"), FAULTS)
def test_what_is_broken_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    fault: Callable[..., None],
    name: str,
    state: str,
) -> None:
    """A call that the file system refuses or gets wrong is told, and what it means."""
    monkeypatch.setattr(os, function, fault)
    assert found(tmp_path)[name].state == state


def test_locks_that_do_not_lock_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two hold one lock, writers cannot tell of each other."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert found(tmp_path)["flock"].state == "fails"


def test_a_file_replaced_in_two_steps_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that sees half of a file is noticed."""

    def replace(staged: Path, path: Path) -> None:
        data = staged.read_bytes()
        for end in range(0, len(data) + 1, 1024):
            path.write_bytes(data[:end])
        staged.unlink()

    monkeypatch.setattr(Path, "replace", replace)
    assert found(tmp_path)["replace"].state == "fails"


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only file system is one line, and the rest is told as far as it can be."""
    monkeypatch.setattr(tempfile, "mkdtemp", refuses(errno.EROFS))
    findings = found(tmp_path)
    assert findings["writable"].state == "fails"
    assert "Read-only" in findings["writable"].detail
    assert "free space" in findings


def test_a_shared_folder_without_setgid_is_noted(tmp_path: Path) -> None:
    """What a group writes to should hand its group on."""
    tmp_path.chmod(0o770)
    before = os.umask(0o022)
    try:
        finding = found(tmp_path)["group"]
        assert finding.state == "note"
        assert "chmod g+s" in finding.detail
        assert "umask 002" in finding.detail
        tmp_path.chmod(0o2770)
        os.umask(0o002)
        assert found(tmp_path)["group"].state == "ok"
    finally:
        os.umask(before)


def doctor(tmp_path: Path, *options: str) -> Result:
    """Run `pipeline doctor` on a store that is not there."""
    from pipeline.cli import app

    return CliRunner().invoke(app, ["doctor", "--store", str(tmp_path / "store"), *options])


def test_the_command_tells_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0 where all is well; every corruption is counted, every encoder named."""
    monkeypatch.setattr(golden, "differing", lambda _names: [])
    answer = doctor(tmp_path, "--json")
    assert answer.exit_code == 0, answer
    document = json.loads(answer.stdout)
    assert document["golden"]["corruptions"] == sum(map(len, golden.shipped_golden().values()))
    assert document["golden"]["differing"] == []
    assert {one["state"] for one in document["file_system"]} <= {"ok", "note"}
    encoders = {one["id"]: one["state"] for one in document["encoders"]}
    assert encoders["texture"] == "present"
    assert document["machine"]["cpus"] >= 1
    assert document["packages"]["numpy"] == np.__version__
    assert document["packages"]["medshards"]
    assert not (tmp_path / "store").exists()
    text = doctor(tmp_path).stdout
    count = document["golden"]["corruptions"]
    assert f"{count} of {count} as promised" in text


def test_other_bytes_are_exit_code_five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that renders one corruption otherwise is told so, by its name."""
    monkeypatch.setattr(golden, "differing", lambda _names: [("medimeta-c", "contrast", 3)])
    answer = doctor(tmp_path)
    assert answer.exit_code == 5
    assert "DIFFERS medimeta-c contrast severity 3" in answer.stdout


def test_an_unsafe_file_system_is_exit_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks do not lock, the command fails."""
    monkeypatch.setattr(golden, "differing", lambda _names: [])
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    answer = doctor(tmp_path)
    assert answer.exit_code == 1
    assert "FAILS flock" in answer.stdout
