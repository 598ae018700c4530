"""Commands as processes that are forked from one which has imported what they import.

Importing takes about as long as all else that a command does in a test, and for models far longer.
"""

from __future__ import annotations

import functools
import os
import pkgutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import pipeline
import stages

LIBRARIES = [
    "cv2",
    "matplotlib.pyplot",
    "numba",
    "open_clip",
    "pandas",
    "pyarrow.parquet",
    "pytest",
    "requests",
    "scipy.stats",
    "skimage.measure",
    "sklearn.linear_model",
    "zarr",
]


@functools.cache
def modules() -> list[str]:
    """Return the libraries and all modules of the product."""
    own = (
        module.name
        for package in (pipeline, stages)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    )
    return [*LIBRARIES, *(name for name in own if not name.endswith("__main__"))]


def run_preloaded(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str, str]:
    """Run `pipeline` in a folder; return exit code, stdout and stderr.

    All must have the same environment: libraries read it once, when they are imported.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(modules())
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
