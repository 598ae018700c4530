"""Output bytes are pinned: on this machine, and with vector instructions switched off.

After an intended change of bytes raise the `version` of the kernel and rewrite golden.json with
``python -m tests.stages.corrupt.test_golden``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.rendering import shipped_suite
from stages.corrupt.testing import golden_digests, golden_names
from tests.stages.corrupt.kernels import without_vectors

GOLDEN_FILE = Path(__file__).with_name("golden.json")
GOLDEN = json.loads(GOLDEN_FILE.read_text())

PROGRAM = """
import json, sys
from stages.corrupt.testing import golden_digests
json.dump({name: golden_digests(name) for name in sys.argv[1:]}, sys.stdout)
"""
NAMES = golden_names()


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_the_golden_ones(name: str) -> None:
    """All corruptions of a suite give the pinned bytes, or their kernel's version was raised."""
    assert golden_digests(name) == GOLDEN[name]


def test_everything_is_pinned() -> None:
    """No suite, dataset of a suite or kernel lacks its golden digests."""
    assert list(GOLDEN) == NAMES
    suites = {name.partition("/")[0] for name in NAMES}
    named = {entry.kernel for suite in suites for entry in shipped_suite(suite).corruptions}
    assert named == KERNELS.keys()


def test_bytes_do_not_depend_on_the_processor() -> None:
    """A process without this processor's vector instructions gives the same bytes."""
    disabled = "AVX512_SKX,AVX2,AVX,FP16,FMA3"
    output = without_vectors(PROGRAM, *NAMES, OPENCV_CPU_DISABLE=disabled)
    assert json.loads(output) == GOLDEN


if __name__ == "__main__":
    digests = {name: golden_digests(name) for name in NAMES}
    GOLDEN_FILE.write_text(json.dumps(digests, indent=2) + "\n")
