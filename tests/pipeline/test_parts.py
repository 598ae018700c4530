"""Parts of a plan: every unit in exactly one, whatever the order in which they are built."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifact import MANIFEST
from pipeline.errors import UsageError
from pipeline.parts import Part
from pipeline.plan import make_plan
from pipeline.runner import Manner, run
from pipeline.store import Store
from pipeline.verify import verify
from tests.pipeline.toy import SUMS, Digests, Toy, digests_of

MANY = Toy(rows=23, numbers_slots=2, sums_slots=3)


def build_part(root: Path, part: str, toy: Toy | None = None) -> int:
    """Build one part of the toy and return how many units that took."""
    store, targets = Store(root), (toy or Toy()).targets()
    outcome = run(store, Part.parse(part).of(make_plan(store, targets), targets), Manner(2))
    outcome.raise_failures()
    return outcome.done


@pytest.mark.parametrize("order", list(itertools.permutations(["1/3", "2/3", "3/3"])))
def test_parts_in_any_order_make_what_one_run_makes(
    order: tuple[str, ...], reference: Digests, tmp_path: Path
) -> None:
    """The last part to end seals what the others left, with the digests of one run."""
    for part in order:
        build_part(tmp_path, part)
    assert digests_of(tmp_path) == reference
    assert verify(Store(tmp_path)) == []


def test_no_part_makes_what_another_has_made(tmp_path: Path) -> None:
    """Parts that run after each other run every unit once, and none twice."""
    assert sum(build_part(tmp_path, f"{n}/3", MANY) for n in (3, 1, 2)) == 1 + 12 + 2 * 8


@given(count=st.integers(1, 40))
def test_every_unit_of_a_target_is_in_exactly_one_part(count: int) -> None:
    """Parts are disjoint and complete, and their sizes differ by no more than one per artifact."""
    store, targets = Store(Path("none")), MANY.targets()
    plan = make_plan(store, targets)
    shares = [
        [
            (step.node.recipe.key, unit.shard)
            for step in Part(number, count).of(plan, targets).steps
            for unit in step.units
            if step.node.recipe.stage == "sums"
        ]
        for number in range(1, count + 1)
    ]
    dealt = [unit for share in shares for unit in share]
    assert len(dealt) == len(set(dealt)) == sum(target.shards for target in targets)
    assert max(map(len, shares)) - min(map(len, shares)) <= len(targets)


def test_a_part_is_the_same_whatever_the_store_holds(tmp_path: Path) -> None:
    """What others have built takes units out of a part and moves none to another."""
    before = make_plan(Store(tmp_path), MANY.targets())
    wanted = _sums(Part(2, 3), before)
    build_part(tmp_path, "1/3", MANY)
    assert _sums(Part(2, 3), make_plan(Store(tmp_path), MANY.targets())) == wanted
    assert _sums(Part(1, 3), make_plan(Store(tmp_path), MANY.targets())) == []


def test_a_part_with_no_unit_of_its_own_builds_nothing(tmp_path: Path) -> None:
    """More parts than units: some have nothing to do, not even what others need."""
    targets = Toy().targets()
    plan = make_plan(Store(tmp_path), targets)
    sizes = [len(Part(number, 9).of(plan, targets).steps) for number in range(1, 10)]
    assert 0 in sizes
    assert build_part(tmp_path, f"{1 + sizes.index(0)}/9") == 0


def test_what_only_lacks_its_seal_is_in_one_part(copied: Path) -> None:
    """An artifact with all its shards is sealed by one of the parts."""
    (Store(copied).folder(Toy().sums(SUMS[1]).recipe) / MANIFEST).unlink()
    assert [build_part(copied, f"{n}/3") for n in (1, 2, 3)] == [0, 1, 0]
    assert verify(Store(copied)) == []


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "-1/3", "1/3/5", "a/b"])
def test_what_is_no_part_is_refused(text: str) -> None:
    """A part is i/n with i from 1 to n."""
    with pytest.raises(UsageError, match="--parts"):
        Part.parse(text)


def _sums(part: Part, plan: object) -> list[tuple[str, int]]:
    found = part.of(plan, MANY.targets())  # type: ignore[arg-type]
    return [
        (step.node.recipe.key, unit.shard)
        for step in found.steps
        for unit in step.units
        if step.node.recipe.stage == "sums"
    ]
