"""Output bytes are pinned: on this machine, and with vector instructions switched off.

After an intended change of bytes raise the `version` of the kernel and rewrite golden.json with
``python -m stages.corrupt.golden``.
"""

from __future__ import annotations

import json

import pytest

from stages.corrupt import golden
from stages.corrupt.golden import differing, golden_digests_of, golden_names, shipped_golden
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.rendering import SUITES, render, suite_for
from tests.stages.corrupt.kernels import without_vectors

GOLDEN = shipped_golden()

PROGRAM = """
import json, sys
from stages.corrupt.golden import golden_digests
json.dump({name: golden_digests(name) for name in sys.argv[1:]}, sys.stdout)
"""
NAMES = golden_names()


@pytest.mark.parametrize(
    ("name", "corruption"), [(name, corruption) for name in NAMES for corruption in GOLDEN[name]]
)
def test_bytes_are_the_golden_ones(name: str, corruption: str) -> None:
    """A corruption of a suite gives the pinned bytes, or its kernel's version was raised."""
    assert golden_digests_of(name, corruption) == GOLDEN[name][corruption]


def test_everything_is_pinned() -> None:
    """No suite, dataset of a suite, corruption or kernel lacks its golden digests."""
    assert list(GOLDEN) == NAMES
    for name in NAMES:
        assert list(GOLDEN[name]) == [one.name for one in suite_for(name, 28, 28).corruptions]
    suites = {name.partition("/")[0] for name in NAMES}
    named = {entry.kernel for suite in suites for entry in SUITES[suite].corruptions}
    assert named == KERNELS.keys()


def test_bytes_do_not_depend_on_the_processor() -> None:
    """A process without this processor's vector instructions gives the same bytes."""
    disabled = "AVX512_SKX,AVX2,AVX,FP16,FMA3"
    output = without_vectors(PROGRAM, *NAMES, OPENCV_CPU_DISABLE=disabled)
    assert json.loads(output) == GOLDEN


def test_a_corruption_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that gives one other bit here is told by suite, corruption and severity."""

    def otherwise(image, corruption, severity, suite, stream):
        output, drawn = render(image, corruption, severity, suite, stream)
        if (corruption.name, severity) == ("contrast", 3):
            output[0, 0, 0] ^= 1
        return output, drawn

    assert differing(["medimeta-c"]) == []
    monkeypatch.setattr(golden, "render", otherwise)
    assert differing(["medimeta-c"]) == [("medimeta-c", "contrast", 3)]
