"""Output bytes are pinned: on this machine, and with vector instructions switched off.

After an intended change of bytes raise the `version` of the kernel and rewrite golden.json with
`json.dumps(stages.corrupt.testing.golden_digests("medimeta-c"), indent=2)`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.manifest import read_manifest
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.schema import SuiteManifest
from stages.corrupt.testing import golden_digests

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())

MORE = Path(__file__).with_name("more_kernels.toml")
MORE_GOLDEN = json.loads(Path(__file__).with_name("golden_more.json").read_text())

PROGRAM = f"""
import json, pathlib, sys
from pipeline.manifest import read_manifest
from stages.corrupt.schema import SuiteManifest
from stages.corrupt.testing import golden_digests
more = read_manifest(pathlib.Path({str(MORE)!r}), SuiteManifest)
json.dump([golden_digests("medimeta-c"), golden_digests(more)], sys.stdout)
"""


@pytest.mark.parametrize("corruption", GOLDEN)
def test_bytes_are_the_golden_ones(corruption: str) -> None:
    """All five severities give the pinned bytes, or the kernel's version was raised."""
    assert golden_digests("medimeta-c")[corruption] == GOLDEN[corruption]


def test_kernels_without_a_suite_are_pinned_too() -> None:
    """Every kernel that no shipped suite names gives its pinned bytes."""
    assert golden_digests(read_manifest(MORE, SuiteManifest)) == MORE_GOLDEN
    assert GOLDEN.keys() | MORE_GOLDEN.keys() == KERNELS.keys()


def test_every_corruption_is_pinned() -> None:
    """No corruption of the suite lacks its golden digests."""
    assert list(golden_digests("medimeta-c")) == list(GOLDEN)


def test_bytes_do_not_depend_on_the_processor() -> None:
    """A process without this processor's vector instructions gives the same bytes."""
    features: Any = importlib.import_module("numpy._core._multiarray_umath")

    environment = os.environ | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "OPENCV_CPU_DISABLE": "AVX512_SKX,AVX2,AVX,FP16,FMA3",
        "NPY_DISABLE_CPU_FEATURES": " ".join(features.__cpu_dispatch__),
    }
    if platform.machine() == "x86_64":
        environment["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-FMA"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [GOLDEN, MORE_GOLDEN]
