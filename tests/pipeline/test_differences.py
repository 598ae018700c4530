"""How a sealed recipe differs from a declared one, told for people and for programs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.artifact import Manifest
from pipeline.differences import nearest_version, recipe_differences
from pipeline.plan import explain
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.unit import Node
from tests.pipeline.toy import Files, Numbers, Toy, build

pytestmark = pytest.mark.usefixtures("without_fsync")


def nested(root: Path, **parameters: object) -> Recipe:
    """Return a recipe whose parameters are nested, on the toy's source."""
    usual: dict[str, object] = {"values": {"factor": 0.2, "steps": (1, 2, 3)}, "gray": "stay"}
    return Recipe("numbers", "nested", 1, usual | parameters, {"files": Toy().files().recipe})


@pytest.fixture
def sealed(copied: Path) -> Path:
    """Return a store with an artifact whose parameters are nested."""
    recipe = nested(copied)
    node = Node(recipe, Numbers(), 3, 22, 3, inputs={"files": Toy().files()})
    build(copied, [node]).raise_failures()
    return copied


CHANGES = [
    ({"gray": "replicate"}, ["parameter gray: stay -> replicate"]),
    (
        {"values": {"factor": 0.25, "steps": [1, 5, 3]}},
        ["parameter values.factor: 0.2 -> 0.25", "parameter values.steps.1: 2 -> 5"],
    ),
    ({"values": {"factor": 0.2, "steps": [1]}}, ["parameter values.steps: [1, 2, 3] -> [1]"]),
    ({"more": None}, ["parameter more: (none) -> null"]),
    (
        {"values": {"factor": 0.2}},
        ["parameter values.steps: [1, 2, 3] -> (none)"],
    ),
]


@pytest.mark.parametrize(("changed", "told"), CHANGES, ids=str)
def test_nested_parameters_are_told_old_and_new(
    sealed: Path, changed: dict[str, object], told: list[str]
) -> None:
    """Only the keys and positions that changed are named, tuples being equal to lists."""
    assert explain(Store(sealed), nested(sealed, **changed)) == told


def test_an_equal_recipe_differs_in_nothing_but_its_record(sealed: Path) -> None:
    """What has the same recipe and is not sealed has lost its record."""
    manifest = Store(sealed).sealed(nested(sealed))
    assert manifest
    assert [str(one) for one in recipe_differences(manifest, nested(sealed))] == [
        "its record is gone"
    ]


def test_an_input_is_followed_to_what_changed_in_it(copied: Path) -> None:
    """A change two levels up is told with the way to it, and by keys once the old input is gone."""
    other = replace(Toy(numbers_version=2), seed=0)
    store = Store(copied)
    (one,) = recipe_differences(_sums(store), other.sums("odd").recipe, store)
    assert str(one) == "input numbers (numbers/toy/0): version: 1 -> 2"
    assert one.document == {
        "kind": "version",
        "inputs": ["numbers"],
        "key": "",
        "old": 1,
        "new": 2,
    }
    files = Recipe("sources", "toy", 1, {"file": "b"})
    numbers = replace(Toy().numbers().recipe, inputs={"files": files})
    sums = replace(Toy().sums("odd").recipe, inputs={"numbers": numbers})
    assert explain(store, sums) == [
        "input numbers: input files (sources/toy): parameter file: (none) -> b"
    ]
    shutil.rmtree(store.folder(Toy().numbers().recipe))
    old, new = Toy().numbers().recipe.key[:12], numbers.key[:12]
    told = f"input numbers: numbers/toy/0 {old} -> numbers/toy/0 {new}"
    assert explain(Store(copied), sums) == [told]


def test_inputs_that_come_and_go_are_told(copied: Path) -> None:
    """A role that is new, or gone, or of another artifact is one line each."""
    store = Store(copied)
    own = Toy().sums("odd").recipe
    others = {"more": Toy().files().recipe, "numbers": Toy(seed=5).numbers().recipe}
    told = [str(one) for one in recipe_differences(_sums(store), replace(own, inputs=others))]
    assert told[0] == "input more: (none) -> sources/toy"
    assert told[1].startswith("input numbers: numbers/toy/0 ")
    assert " -> numbers/toy/5 " in told[1]
    gone = [str(one) for one in recipe_differences(_sums(store), replace(own, inputs={}))]
    assert gone == ["input numbers: numbers/toy/0 -> (none)"]


def test_the_nearest_of_several_versions_is_taken(sealed: Path) -> None:
    """Of two sealed versions the one that differs in less is compared with."""
    other = nested(sealed, gray="other", values={"factor": 1, "steps": [0, 0, 0]})
    node = Node(
        other, Numbers(), 3, 22, 3, inputs={"files": Node(Toy().files().recipe, Files(), 1, 1, 1)}
    )
    build(sealed, [node]).raise_failures()
    wanted = nested(sealed, values={"factor": 0.3, "steps": [1, 2, 3]})
    found = nearest_version(Store(sealed), wanted)
    assert found
    assert found.recipe_key == nested(sealed).key
    assert nearest_version(Store(sealed), Recipe("numbers", "none", 1, {})) is None


def _sums(store: Store) -> Manifest:
    manifest = store.sealed(Toy().sums("odd").recipe)
    assert manifest
    return manifest
