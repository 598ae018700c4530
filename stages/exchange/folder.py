"""The folder of an export: it is there whole, or not at all.

Pieces are written into a hidden folder beside it, which gets its name when all are there. What an
interrupted export has finished is kept there, and the same command goes on from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.disk import Disk
from pipeline.errors import HeldError, UsageError, VerificationError
from pipeline.events import Listener, RunFinished, RunStarted, UnitFinished
from stages.exchange.contract import Piece

SCHEMA = "medshards/exported/1"
DOCUMENT = "export.json"
SUMS = "SHA256SUMS"
_DONE = ".done"

Document = Mapping[str, Any]


class ExportFolder:
    """Where an export goes, and what is there already.

    Parameters
    ----------
    path
        The folder.
    document
        What is exported; an export with an equal one is the same.

    Raises
    ------
    UsageError
        If the folder holds anything else.
    VerificationError
        If it holds this export, but files were changed since.
    """

    def __init__(self, path: Path, document: Document) -> None:
        self.path = path.resolve()
        self._document = {"schema": SCHEMA, **document}
        self._staged = self.path.with_name(f".{self.path.name}.part")
        self.is_done = self._is_done()

    def files(self) -> tuple[int, int]:
        """Return the number and the bytes of the files of a finished export."""
        document = _read(self.path / DOCUMENT)
        return int(document["files"]), int(document["bytes"])

    def left(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces that are not written yet."""
        if self.is_done:
            return []
        if _read(self._staged / DOCUMENT) != self._document:
            return list(pieces)
        return [p for number, p in enumerate(pieces) if not self._done(number).exists()]

    def write(
        self, pieces: Sequence[Piece], texts: Mapping[str, str], workers: int, listener: Listener
    ) -> None:
        """Write what is missing, then give the folder its name.

        Raises
        ------
        HeldError
            If another process is writing the same folder.
        """
        Disk().make_folder(self.path.parent)
        with self._held():
            started = time.monotonic()
            left = self.left(pieces)
            self._prepare()
            numbers = {id(piece): number for number, piece in enumerate(pieces)}
            listener(RunStarted(len(left), sum(piece.nbytes for piece in left), workers))
            pool = ThreadPoolExecutor(workers)
            try:
                jobs = [pool.submit(self._write, numbers[id(p)], p, listener) for p in left]
                done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
                for job in done:
                    job.result()
            finally:
                pool.shutdown(cancel_futures=True)
            self._finish(len(pieces), texts)
            listener(RunFinished(len(left), 0, time.monotonic() - started))

    def _prepare(self) -> None:
        if _read(self._staged / DOCUMENT) != self._document:
            if self._staged.exists():
                shutil.rmtree(self._staged)  # another export that was interrupted
            (self._staged / _DONE).mkdir(parents=True)
            _write_text(self._staged / DOCUMENT, _json(self._document))

    def _write(self, number: int, piece: Piece, listener: Listener) -> None:
        lines = []
        nbytes = 0
        for path in piece.write(self._staged):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                nbytes += os.fstat(file.fileno()).st_size
                os.fsync(file.fileno())
            lines.append(f"{digest}  {path.relative_to(self._staged).as_posix()}\n")
        done = self._done(number)
        staged = done.with_suffix(".new")
        _write_text(staged, f"{nbytes}\n" + "".join(lines))
        staged.replace(done)
        listener(UnitFinished(piece.label, number, piece.rows, nbytes, 0.0))

    def _done(self, number: int) -> Path:
        return self._staged / _DONE / f"{number}.txt"

    def _finish(self, count: int, texts: Mapping[str, str]) -> None:
        files = nbytes = 0
        for name, text in texts.items():
            _write_text(self._staged / name, text)
        with (self._staged / SUMS).open("w", encoding="utf-8") as sums:
            for number in range(count):
                first, *lines = self._done(number).read_text(encoding="utf-8").splitlines(True)
                sums.writelines(lines)
                files, nbytes = files + len(lines), nbytes + int(first)
            for name, text in texts.items():
                data = text.encode()
                sums.write(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
                files, nbytes = files + 1, nbytes + len(data)
            sums.flush()
            os.fsync(sums.fileno())
        found = {**self._document, "files": files, "bytes": nbytes}
        _write_text(self._staged / DOCUMENT, _json(found))
        shutil.rmtree(self._staged / _DONE)
        for folder, _, _ in os.walk(self._staged):
            Disk().sync_folder(Path(folder))
        self._staged.rename(self.path)  # replaces an empty folder, and nothing else
        Disk().sync_folder(self.path.parent)
        self.is_done = True

    def _is_done(self) -> bool:
        if self.path.exists() and not self.path.is_dir():
            message = f"{self.path} is a file: an export is a folder"
            raise UsageError(message)
        if not self.path.exists() or not any(self.path.iterdir()):
            return False
        document = _read(self.path / DOCUMENT)
        if {k: v for k, v in document.items() if k not in {"files", "bytes"}} != self._document:
            what = "another export" if document.get("schema") == SCHEMA else "other files"
            message = f"{self.path} holds {what}: name a folder that is empty or not there yet"
            raise UsageError(message)
        files, nbytes = _counted(self.path)
        if (files, nbytes) != (document["files"], document["bytes"]):
            message = (
                f"{self.path}: has {files} files of {nbytes} bytes instead of {document['files']} "
                f"of {document['bytes']}: it was changed since; remove it and export again"
            )
            raise VerificationError(message)
        return True

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        path = self.path.with_name(f".{self.path.name}.lock")
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:  # an OSError, too
            message = f"{self.path} is being written by another process"
            raise HeldError(message) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            lock.release()


def _counted(folder: Path) -> tuple[int, int]:
    files = nbytes = 0
    for below, _, names in os.walk(folder):
        for name in names:
            files += 1
            nbytes += Path(below, name).stat().st_size
    own = [folder / SUMS, folder / DOCUMENT]
    return files - len(own), nbytes - sum(path.stat().st_size for path in own if path.exists())


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _json(document: Document) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
