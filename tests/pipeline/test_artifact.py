"""Reading a part of an artifact's index, and what it was made from."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import tables
from pipeline.artifact import MANIFEST
from pipeline.errors import MissingInputError
from pipeline.store import Store
from tests.pipeline.toy import NUMBERS_SLOTS, ROWS, Toy


@given(bounds=st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(sorted))
def test_a_part_of_the_index_is_a_slice_of_it(built: Path, bounds: list[int]) -> None:
    """Rows from one shard or several are those of the whole index."""
    start, stop = bounds
    artifact = Store(built).artifact(Toy().numbers().recipe)
    assert artifact.index(["id"], start, stop).equals(artifact.index(["id"])[start:stop])


def test_only_the_shards_of_these_rows_are_read(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory that a unit needs does not grow with the artifact."""
    read, seen = tables.read_table, []

    def watched(path: Path, columns: list[str] | None, rows: int) -> object:
        seen.append(path.name)
        return read(path, columns, rows)

    monkeypatch.setattr(tables, "read_table", watched)
    artifact = Store(built).artifact(Toy().numbers().recipe)
    artifact.index(None, NUMBERS_SLOTS, 2 * NUMBERS_SLOTS)
    assert seen == ["00001.parquet"]


def test_an_input_is_the_artifact_with_the_content_that_was_read(built: Path) -> None:
    """An artifact with other content, or none, is not what another was made from."""
    store, toy = Store(built), Toy()
    sums = store.artifact(toy.sums("even").recipe).manifest
    numbers = store.artifact(toy.numbers().recipe).manifest
    assert store.input_of(sums, "numbers").manifest.content_digest == numbers.content_digest
    others = [{name: digit * 64} for name in ("content_digest", "recipe_key") for digit in "0f"]
    for changed in others:
        sources = {"numbers": sums.document["inputs"]["numbers"] | changed}
        other = dataclasses.replace(sums, document=sums.document | {"inputs": sources})
        with pytest.raises(MissingInputError, match=r"sums/toy/0/even was made, is not in this"):
            store.input_of(other, "numbers")


def test_what_is_begun_and_not_sealed_is_told(built: Path, tmp_path: Path) -> None:
    """By stage, name and key; sealed artifacts are not."""
    store = Store(shutil.copytree(built, tmp_path / "store"))
    assert list(store.unsealed()) == []
    recipe = Toy().numbers().recipe
    manifest = store.folder(recipe) / MANIFEST
    manifest.parent.chmod(0o755)
    manifest.unlink()
    assert list(store.unsealed()) == [(recipe.stage, recipe.name, recipe.key)]
