"""Artifacts of a raised version that has the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.artifact import ALIAS, MANIFEST
from pipeline.disk import remove_tree
from pipeline.events import ArtifactSealed, Event
from pipeline.plan import make_plan
from pipeline.store import Store
from pipeline.verify import verify
from tests.pipeline.toy import SUMS, Numbers, Sums, Toy, build, forbidden, values_of


def test_a_raised_version_that_changes_no_bytes_rebuilds_nothing_downstream(copied: Path) -> None:
    """What needs the new version is sealed by aliases, in one run and without any unit."""
    raised = Toy(numbers_version=2, sums_stage=Sums(before=forbidden))
    events: list[Event] = []
    outcome = build(copied, raised.targets(), listeners=[events.append])
    outcome.raise_failures()
    assert outcome.done == 3
    aliases = [e.label for e in events if isinstance(e, ArtifactSealed) and e.alias]
    assert aliases == ["sums/toy/0/odd", "sums/toy/0/even"]
    assert make_plan(Store(copied), raised.targets()).steps == ()
    assert verify(Store(copied)) == []
    for kind in SUMS:
        before, after = Toy().sums(kind), raised.sums(kind)
        assert Store(copied).sealed(after.recipe) == Store(copied).sealed(before.recipe)
        assert np.array_equal(values_of(copied, after, "sums"), values_of(copied, before, "sums"))


def test_aliases_are_taken_where_the_inputs_are_sealed_already(copied: Path) -> None:
    """Several steps whose inputs exist are all taken up, the first being an alias or not."""
    raised = Toy(numbers_version=2, sums_stage=Sums(before=forbidden))
    build(copied, [raised.numbers()]).raise_failures()
    outcome = build(copied, raised.targets())
    outcome.raise_failures()
    assert (outcome.done, outcome.blocked) == (0, [])
    assert make_plan(Store(copied), raised.targets()).steps == ()


def test_a_raised_version_that_changes_bytes_rebuilds_what_needs_it(copied: Path) -> None:
    """Equal recipes of other content are no aliases."""
    raised = Toy(numbers_version=2, numbers_stage=Numbers(noise=0.5))
    events: list[Event] = []
    build(copied, raised.targets(), listeners=[events.append]).raise_failures()
    assert not any(isinstance(event, ArtifactSealed) and event.alias for event in events)


def test_an_alias_of_what_was_removed_is_built(copied: Path) -> None:
    """An alias is as good as the artifact it stands for: gone with it, and built in its place."""
    raised = Toy(numbers_version=2)
    build(copied, raised.targets()).raise_failures()
    store = Store(copied)
    for kind in SUMS:
        remove_tree(store.folder(Toy().sums(kind).recipe))
    assert Store(copied).sealed(raised.sums("odd").recipe) is None
    assert {problem.kind for problem in verify(Store(copied))} == {"unsealed"}
    outcome = build(copied, raised.targets())
    outcome.raise_failures()
    assert outcome.done == 4
    assert (store.folder(raised.sums("odd").recipe) / MANIFEST).exists()
    assert verify(Store(copied)) == []


def test_a_damaged_artifact_is_no_alias(copied: Path) -> None:
    """What the last verify found damaged stands for nothing."""
    shard = next((Store(copied).folder(Toy().sums("odd").recipe) / "sums").glob("c.0*"))
    shard.write_bytes(b"x" * shard.stat().st_size)
    assert verify(Store(copied)) != []
    raised = Toy(numbers_version=2)
    outcome = build(copied, raised.targets())
    outcome.raise_failures()
    folder = Store(copied).folder(raised.sums("odd").recipe)
    assert not (folder / ALIAS).exists()
    assert (folder / MANIFEST).exists()
