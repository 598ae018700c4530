"""What becomes of damage once it was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli.states import states
from pipeline.cli.study import Study
from pipeline.disk import remove_tree
from pipeline.errors import MissingInputError, VerificationError
from pipeline.plan import make_plan
from pipeline.store import VERIFICATION_FILE, Store
from pipeline.verify import verify
from tests.damage import flip
from tests.pipeline.every_kind import FILES
from tests.pipeline.toy import Toy, build, values_of


def test_damage_is_remembered_until_the_artifact_is_built_again(store_root: Path) -> None:
    """A damaged artifact is refused by readers and plans; a rebuilt one is another."""
    toy = Toy()
    recipe = toy.sums("even").recipe
    before = values_of(store_root, toy.sums("even"), "sums")
    flip(next(Store(store_root).folder(recipe).glob("sums/c.0")))
    assert Store(store_root).artifact(recipe) is not None  # nobody has looked yet
    assert [problem.kind for problem in verify(Store(store_root))] == ["changed"]
    with pytest.raises(VerificationError, match="is damaged .*: remove .* and build it again"):
        Store(store_root).artifact(recipe)
    with pytest.raises(VerificationError, match="is damaged"):
        make_plan(Store(store_root), toy.targets())
    remove_tree(Store(store_root).folder(recipe))
    with pytest.raises(MissingInputError, match="sums/toy/0/even is not built yet"):
        Store(store_root).artifact(recipe)
    build(store_root).raise_failures()
    assert np.array_equal(values_of(store_root, toy.sums("even"), "sums"), before)
    assert verify(Store(store_root)) == []
    assert Store(store_root).damaged() == {}


def test_status_tells_what_the_last_verify_found(store_root: Path) -> None:
    """An artifact is damaged if a verify said so, or if its manifest cannot be trusted."""

    def damaged() -> set[str]:
        rows = states(Study(Store.open(store_root)))
        return {f"{row['stage']}/{row['name']}" for row in rows if row["state"] == "damaged"}

    flip(next(Store(store_root).folder(Toy().sums("even").recipe).glob("sums/c.0")))
    assert damaged() == set()
    verify(Store(store_root))
    assert damaged() == {"sums/toy/0/even"}
    flip(next(store_root.glob(FILES["manifest of a source"])))
    assert damaged() == {"sums/toy/0/even", "sources/toy"}


def test_a_damaged_input_is_not_built_upon(store_root: Path) -> None:
    """What was found damaged never enters something new."""
    flip(next(Store(store_root).folder(Toy().numbers().recipe).glob("pixels/c.0*")))
    verify(Store(store_root))
    remove_tree(Store(store_root).folder(Toy().sums("odd").recipe))
    with pytest.raises(VerificationError, match="numbers/toy/0 is damaged"):
        make_plan(Store(store_root), Toy().targets())


def test_a_damaged_record_of_verification_is_written_anew_by_a_whole_verify(
    store_root: Path,
) -> None:
    """Commands refuse a record they cannot trust, and say what helps; a partial verify keeps it."""
    shard = next(store_root.glob(FILES["shard"]))
    flip(shard)
    flip(store_root / VERIFICATION_FILE)
    with pytest.raises(VerificationError, match="verify` on the whole store"):
        make_plan(Store(store_root), Toy().targets())
    kinds = [problem.kind for problem in verify(Store(store_root), lambda _: False)]
    assert kinds == ["manifest"]
    assert {problem.kind for problem in verify(Store(store_root))} == {"changed", "manifest"}
    assert [problem.kind for problem in verify(Store(store_root))] == ["changed"]
    assert list(Store(store_root).damaged().values()) == [["changed"]]


def test_a_damaged_manifest_is_refused_by_readers_and_plans(store_root: Path) -> None:
    """A manifest that was changed is never taken for an artifact, or for none."""
    path = next(store_root.glob(FILES["manifest of a source"]))
    flip(path)
    with pytest.raises(VerificationError, match="checksum"):
        Store(store_root).sealed(Toy().files().recipe)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no table")])
def test_an_index_that_cannot_be_read_is_one_clear_error(
    damage: Callable[[Path], object], store_root: Path
) -> None:
    """Readers of an index that is gone or no Parquet file are told to verify."""
    damage(next(store_root.glob(FILES["index"])))
    with pytest.raises(VerificationError, match="index cannot be read: run `pipeline verify`"):
        Store(store_root).artifact(Toy().numbers().recipe).index()
