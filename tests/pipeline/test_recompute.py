"""Rows that are drawn to be made once more, and how far they are from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.artifact import Artifact
from pipeline.recompute import Again, differing, drawn_rows, largest_difference
from pipeline.store import Store
from tests.pipeline.toy import ROWS, Toy, build


@pytest.fixture
def numbers(tmp_path: Path) -> tuple[Artifact, Any]:
    """The toy's numbers, sealed, and their node."""
    node = Toy().numbers()
    build(tmp_path, [node]).raise_failures()
    return Store(tmp_path).artifact(node.recipe), node


def test_rows_are_drawn_by_the_seed(numbers: tuple[Artifact, Any]) -> None:
    """Distinct rows in order, the same for the same seed; all where fewer are there."""
    artifact, _ = numbers
    drawn = [tuple(drawn_rows(artifact, 3, seed)) for seed in range(20)]
    assert drawn == [tuple(drawn_rows(artifact, 3, seed)) for seed in range(20)]
    assert len(set(drawn)) > 5
    assert all(len(set(rows)) == 3 and list(rows) == sorted(rows) for rows in drawn)
    assert drawn_rows(artifact, 100, 0) == list(range(ROWS))


def test_only_rows_beyond_the_tolerance_differ(numbers: tuple[Artifact, Any]) -> None:
    """Rows of arrays of one size and of mixed sizes are compared as the artifact allows."""
    artifact, node = numbers
    floats, pieces = artifact.array("floats")[:].copy(), list(artifact.mixed("pieces"))

    class Changed:
        def again(self, node: Any, inputs: Any, rows: Any) -> Again:
            del node, inputs
            names = [f"n{row}" for row in rows]
            arrays = {"floats": [floats[row] for row in rows], "pieces": [pieces[r] for r in rows]}
            return Again(names, arrays)

    object.__setattr__(node, "stage", Changed())
    assert differing(artifact, node, {}, range(ROWS)) == []
    floats[2, 1] += 1
    pieces[4] = np.zeros((1, 2, 3), np.uint16)
    found = differing(artifact, node, {}, [1, 2, 4])
    assert [(one.array, one.row, one.name, one.difference) for one in found] == [
        ("floats", 2, "n2", pytest.approx(1)),
        ("pieces", 4, "n4", None),
    ]


@given(hnp.arrays(np.float32, st.integers(0, 9), elements=st.floats(width=32)))
def test_an_item_equals_itself(item: Any) -> None:
    """NaN and infinity equal themselves; anything else is apart by a number or not at all."""
    assert largest_difference(item, item.copy()) == 0


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([1, 2], [1, 4.5], 2.5),
        ([1, np.nan], [3, np.nan], 2),
        ([1, np.nan], [1, 0], None),
        ([1, np.inf], [1, -np.inf], None),
        ([1, 2], [1, 2, 3], None),
        (np.array([0, 255], np.uint8), np.array([1, 0], np.uint8), 255),
    ],
)
def test_largest_difference(one: Any, other: Any, apart: float | None) -> None:
    """The largest absolute difference of an element; none that can be told for NaN alone."""
    assert largest_difference(np.asarray(one), np.asarray(other)) == apart
    assert largest_difference(np.asarray(other), np.asarray(one)) == apart
