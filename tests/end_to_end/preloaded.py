"""Commands as processes that are forked from one which has imported the libraries of models.

Importing them takes several times as long as all that such a command does in a test.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

LIBRARIES = ["open_clip", "pipeline.cli", "pytest"]


def run_preloaded(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str, str]:
    """Run `pipeline` in a folder; return exit code, stdout and stderr.

    All must have the same environment: libraries read it once, when they are imported.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with tempfile.TemporaryDirectory() as scratch:
        streams = [Path(scratch) / name for name in ("stdout", "stderr")]
        process = context.Process(target=_command, args=(arguments, folder, streams))
        with patch.dict(os.environ, environment, clear=True):  # of the server, when it starts
            process.start()
        process.join()
        stdout, stderr = (path.read_text(encoding="utf-8") for path in streams)
    return process.exitcode or 0, stdout, stderr


def _command(arguments: Sequence[str], folder: Path, streams: Sequence[Path]) -> None:
    os.chdir(folder)
    for number, path in enumerate(streams, 1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
    sys.argv = ["pipeline", *arguments]
    from pipeline.cli import main

    main()
