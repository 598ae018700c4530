"""The folder of an export is there whole or not at all, and is never written twice."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import HeldError, UsageError, VerificationError
from stages.exchange.contract import Piece
from stages.exchange.folder import ExportFolder

TEXTS = {"README.md": "read me\n"}


class Pieces:
    """Pieces that write a file each, count how often, and may fail."""

    def __init__(self, count: int = 3) -> None:
        self.written: list[int] = []
        self.failing: set[int] = set()
        self.pieces = [
            Piece(f"piece {number}", 1, 3, partial(self.write, number)) for number in range(count)
        ]

    def write(self, number: int, folder: Path) -> Iterator[Path]:
        """Write one file, half of it only where the piece fails."""
        path = folder / "below" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("ha")
        if number in self.failing:
            raise OSError(28, "No space left on device")
        self.written.append(number)
        path.write_text("all")
        yield path


def export(folder: Path, pieces: Pieces, document: str = "this") -> ExportFolder:
    found = ExportFolder(folder, {"what": document})
    if not found.is_done:
        found.write(pieces.pieces, TEXTS, 1, lambda _: None)
    return found


def test_everything_is_there_and_nothing_beside_it(tmp_path: Path) -> None:
    """The files, their digests and what was exported are in the folder, alone."""
    found = export(tmp_path / "out", Pieces())
    assert found.files() == (4, 9 + len(TEXTS["README.md"]))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["README.md", "SHA256SUMS", "below", "export.json"]
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=False)
    assert done.returncode == 0


def test_a_second_time_does_nothing(tmp_path: Path) -> None:
    """What is written already is not written again."""
    pieces = Pieces()
    export(tmp_path / "out", pieces)
    assert export(tmp_path / "out", pieces).left(pieces.pieces) == []
    assert pieces.written == [0, 1, 2]


def test_an_interrupted_export_goes_on(tmp_path: Path) -> None:
    """A failure leaves no folder; the next attempt writes only what is missing."""
    pieces = Pieces()
    pieces.failing = {1}
    with pytest.raises(OSError, match="No space"):
        export(tmp_path / "out", pieces)
    assert not (tmp_path / "out").exists()
    assert len(ExportFolder(tmp_path / "out", {"what": "this"}).left(pieces.pieces)) < 3
    pieces.failing = set()
    done = [*pieces.written]
    export(tmp_path / "out", pieces)
    assert sorted(pieces.written) == [0, 1, 2]
    assert pieces.written[: len(done)] == done
    assert {path.read_text() for path in (tmp_path / "out" / "below").iterdir()} == {"all"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_export_does_not_go_on_from_it(tmp_path: Path) -> None:
    """What an interrupted export of something else has left is not taken over."""
    pieces = Pieces()
    pieces.failing = {2}
    with pytest.raises(OSError, match="No space"):
        export(tmp_path / "out", pieces, "that")
    pieces.failing = set()
    pieces.written.clear()
    export(tmp_path / "out", pieces, "this")
    assert pieces.written == [0, 1, 2]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    """A folder that is there and empty is filled."""
    (tmp_path / "out").mkdir()
    assert export(tmp_path / "out", Pieces()).is_done


@pytest.mark.parametrize("what", ["other files", "another export", "a file"])
def test_anything_else_is_refused(tmp_path: Path, what: str) -> None:
    """A folder with other content, and a file, are left as they are."""
    out = tmp_path / "out"
    if what == "another export":
        export(out, Pieces(), "that")
    elif what == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=what):
        export(out, Pieces())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_export_is_noticed(tmp_path: Path) -> None:
    """A file that is gone since is a verification error."""
    export(tmp_path / "out", Pieces())
    (tmp_path / "out" / "below" / "1.txt").unlink()
    with pytest.raises(VerificationError, match="changed since"):
        export(tmp_path / "out", Pieces())


def test_only_one_process_writes(tmp_path: Path) -> None:
    """A second writer of the same folder is told that it is held."""
    pieces = Pieces(1)
    tried = []

    def write_too(folder: Path) -> Iterator[Path]:
        with pytest.raises(HeldError):
            export(tmp_path / "out", Pieces(1))
        tried.append(True)
        return iter(())

    pieces.pieces = [Piece("piece", 1, 3, write_too)]
    export(tmp_path / "out", pieces)
    assert tried
