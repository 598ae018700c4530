"""Runs: order, workers, failures, aliases, leases and writers that disagree."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.artifact import MANIFEST
from pipeline.disk import remove_tree
from pipeline.errors import (
    DataError,
    HeldError,
    NonDeterminismError,
    PipelineError,
    StoreError,
    UnitsFailedError,
    VerificationError,
)
from pipeline.events import ArtifactSealed, Event, RunFinished, RunStarted, UnitFinished, UnitHeld
from pipeline.plan import make_plan
from pipeline.runner import Manner, run
from pipeline.store import LEASES, STAGING, Store
from pipeline.unit import Node, Unit, UnitWriter
from pipeline.verify import verify
from tests.pipeline.toy import (
    SUMS,
    Digests,
    Files,
    Numbers,
    Sums,
    Toy,
    build,
    digests_of,
    forbidden,
    values_of,
)


def failing(error: Exception, *shards: int) -> Callable[[Unit], None]:
    """Return a hook that fails the units of some shards."""

    def fail(unit: Unit) -> None:
        if unit.shard in shards:
            raise error

    return fail


IDLE = Toy(
    files_stage=Files(before=forbidden),
    numbers_stage=Numbers(before=forbidden),
    sums_stage=Sums(before=forbidden),
)
"""The toy's graph with stages that must not run."""


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_makes_the_same_bytes(
    workers: int, reference: Digests, tmp_path: Path
) -> None:
    """Content digests, shards and index files do not depend on workers."""
    build(tmp_path, workers=workers).raise_failures()
    assert digests_of(tmp_path) == reference


def test_a_subset_first_and_the_rest_later_makes_the_same_bytes(
    reference: Digests, toy: Toy, tmp_path: Path
) -> None:
    """What is built together does not matter."""
    build(tmp_path, [toy.numbers()]).raise_failures()
    build(tmp_path, [toy.sums("even")]).raise_failures()
    build(tmp_path).raise_failures()
    assert digests_of(tmp_path) == reference


def test_a_second_run_plans_and_writes_nothing(copied: Path) -> None:
    """After a run the plan is empty, and running it changes no file."""
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    plan = make_plan(Store(copied), IDLE.targets())
    assert plan.steps == ()
    assert plan.units == 0
    assert plan.sealed == len(SUMS)
    assert build(copied, IDLE.targets()).done == 0
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_a_run_with_nothing_to_do_sweeps_what_a_killed_one_left(copied: Path) -> None:
    """Staging is swept even if nothing is missing."""
    (copied / STAGING / "1-dead" / "below").mkdir(parents=True)
    build(copied)
    assert list((copied / STAGING).iterdir()) == []


def test_a_plan_lists_inputs_before_what_needs_them(toy: Toy, tmp_path: Path) -> None:
    """Every step comes after the steps of its inputs, with its units, rows and a reason."""
    plan = make_plan(Store(tmp_path / "none"), toy.targets())
    labels = [step.node.recipe.label for step in plan.steps]
    assert labels == [node.recipe.label for node in toy.nodes()]
    assert [step.rows for step in plan.steps] == [1, 7, 7, 7]
    assert {step.reason for step in plan.steps} == {"never built"}
    assert not (tmp_path / "none").exists()


def test_events_tell_what_happens(toy: Toy, tmp_path: Path) -> None:
    """A run tells its size, every unit, every artifact, and its end."""
    events: list[Event] = []
    build(tmp_path, listeners=[events.append])
    assert events[0] == RunStarted(units=8, nbytes=30 + 7 * 22 + 2 * 7 * 8, workers=1)
    assert sum(isinstance(event, UnitFinished) for event in events) == 8
    sealed = [event.label for event in events if isinstance(event, ArtifactSealed)]
    assert sealed == [node.recipe.label for node in toy.nodes()]
    assert isinstance(events[-1], RunFinished)
    assert (events[-1].done, events[-1].failed) == (8, 0)


def test_a_failed_unit_keeps_the_others_and_blocks_what_needs_it(
    reference: Digests, tmp_path: Path
) -> None:
    """The other shards are published, what needs the artifact is not begun, a re-run completes."""
    broken = Toy(numbers_stage=Numbers(before=failing(ValueError("a bad number"), 1)))
    outcome = build(tmp_path, broken.targets(), workers=2)
    store = Store(tmp_path)
    assert store.sealed(broken.files().recipe) is not None
    assert store.sealed(broken.numbers().recipe) is None
    assert store.records(broken.numbers().recipe) == {0, 2}
    assert [step.node.recipe.label for step in outcome.blocked] == [
        "sums/toy/0/odd",
        "sums/toy/0/even",
    ]
    with pytest.raises(UnitsFailedError, match="numbers/toy/0: .*a bad number") as told:
        outcome.raise_failures()
    assert "not begun for want of these: 2 artifacts" in str(told.value)
    (step, *_) = make_plan(Store(tmp_path), Toy().targets()).steps
    assert step.reason == "partial: 2 of 3 shards are published"
    assert [unit.shard for unit in step.units] == [1]
    assert build(tmp_path).done == 5
    assert digests_of(tmp_path) == reference


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("label 9"), DataError),
        (VerificationError("wrong md5"), VerificationError),
        (StoreError("the disk is full"), StoreError),
        (KeyError("gone"), PipelineError),
    ],
)
def test_a_run_that_did_nothing_fails_with_the_kind_of_its_only_error(
    error: Exception, expected: type[Exception], tmp_path: Path
) -> None:
    """The exit code is the error's own, where all units failed for one reason."""
    broken = Toy(files_stage=Files(before=failing(error, 0)))
    outcome = build(tmp_path, broken.targets())
    with pytest.raises(expected) as told:
        outcome.raise_failures()
    assert type(told.value) is expected
    assert str(error.args[0]) in str(told.value)


def test_failures_of_several_kinds_are_told_together(tmp_path: Path) -> None:
    """Every distinct reason is told once."""

    def fail(unit: Unit) -> None:
        raise DataError("bad rows") if unit.shard else VerificationError("wrong md5")

    build(tmp_path, [Toy().files()])
    outcome = build(tmp_path, [Toy(numbers_stage=Numbers(before=fail)).numbers()])
    with pytest.raises(PipelineError) as told:
        outcome.raise_failures()
    assert type(told.value) is PipelineError
    lines = ["numbers/toy/0: wrong md5", "numbers/toy/0: bad rows"]
    assert str(told.value).splitlines() == lines


def test_a_disk_that_fills_up_is_told_once(tmp_path: Path) -> None:
    """Many units that fail for want of room are one line, which names one file."""

    def fail(unit: Unit) -> None:
        message = f"{tmp_path}/{unit.shard}: the disk is full: free some space"
        raise StoreError(message)

    build(tmp_path, [Toy().files()])
    numbers = Toy(numbers_stage=Numbers(before=fail)).numbers()
    assert len(build(tmp_path, [numbers], workers=1).failures) == 1
    outcome = build(tmp_path, [numbers], workers=3)
    with pytest.raises(StoreError) as told:
        outcome.raise_failures()
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{tmp_path}/")
    assert line.endswith(": the disk is full: free some space")


@pytest.mark.parametrize("parallel", [True, False])
def test_units_of_a_stage_that_is_not_parallel_never_overlap(
    parallel: bool, tmp_path: Path
) -> None:
    """Units of a parallel stage run at the same time, others one by one."""
    running: list[Unit] = []
    most = [0]
    met = threading.Barrier(2 if parallel else 1)

    def watch(unit: Unit) -> None:
        running.append(unit)
        most[0] = max(most[0], len(running))
        met.wait(20)
        running.remove(unit)

    stage = Numbers(parallel=parallel, before=watch)
    toy = Toy(rows=12, numbers_stage=stage)
    build(tmp_path, [toy.numbers()], workers=2).raise_failures()
    assert most == [2 if parallel else 1]


def test_a_held_unit_is_left_for_last_and_waited_for(toy: Toy, tmp_path: Path) -> None:
    """The other units are done first; the held one is made once it is free."""
    build(tmp_path, [toy.files()])
    numbers = toy.numbers()
    holding = Store(tmp_path).lease(numbers.recipe, 0)
    done: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, UnitHeld):
            done.append("held")
        if isinstance(event, UnitFinished):
            done.append(f"shard {event.shard}")
        if done[-2:] == ["shard 2", "held"] and done.count("held") == 2:
            holding.__exit__(None, None, None)

    holding.__enter__()
    build(tmp_path, [numbers], listeners=[listen]).raise_failures()
    assert [step for step in done if step != "held"] == ["shard 1", "shard 2", "shard 0"]
    assert done[0] == "held"


def test_a_held_unit_that_another_process_finishes_is_not_made_again(
    toy: Toy, tmp_path: Path
) -> None:
    """Once the holder has published, its shard is taken as it is and the artifact sealed."""
    build(tmp_path, [toy.files()])
    numbers = toy.numbers()
    other = Store(tmp_path)
    holding = other.lease(numbers.recipe, 0)
    holding.__enter__()

    def publish(event: Event) -> None:
        if isinstance(event, UnitFinished) and event.shard == 2:
            _publish(other, numbers, 0)
            holding.__exit__(None, None, None)

    mine = Toy(
        numbers_stage=Numbers(before=lambda unit: forbidden(unit) if unit.shard == 0 else None)
    )
    build(tmp_path, [mine.numbers()], listeners=[publish]).raise_failures()
    assert Store(tmp_path).sealed(numbers.recipe) is not None


def test_a_run_that_may_not_wait_ends_with_held(toy: Toy, tmp_path: Path) -> None:
    """Without waiting, a run does the rest and then says that others hold the work."""
    build(tmp_path, [toy.files()])
    with Store(tmp_path).lease(toy.numbers().recipe, 1), pytest.raises(HeldError, match="1 units"):
        build(tmp_path, [toy.numbers()], wait_for_others=False)
    assert Store(tmp_path).records(toy.numbers().recipe) == {0, 2}
    assert list((tmp_path / STAGING).iterdir()) == []


def test_leases_are_gone_after_a_run(built: Path) -> None:
    """Nothing stays of the leases of units that are done."""
    assert list((built / LEASES).iterdir()) == []


@pytest.mark.parametrize("kind", ["shard", "index"])
def test_two_writers_of_one_unit_that_differ_are_reported(
    kind: str, toy: Toy, tmp_path: Path
) -> None:
    """Different bytes for the same unit are an error that names the file; the first stay."""
    store = Store(tmp_path)
    build(tmp_path, [toy.files()])
    _publish(store, toy.numbers(), 0)
    folder = store.folder(toy.numbers().recipe)
    (folder / "records" / "00000.json").unlink()
    if kind == "index":
        path = folder / "index" / "00000.parquet"
        path.write_bytes(content := path.read_bytes()[::-1])
        outcome = build(tmp_path, [toy.numbers()])
    else:
        path = folder / "floats" / "c.0.0"
        content = path.read_bytes()
        outcome = build(tmp_path, [Toy(numbers_stage=Numbers(noise=1e-3)).numbers()])
    (failure,) = outcome.failures
    assert isinstance(failure.error, NonDeterminismError)
    assert str(path) in str(failure.error)
    assert path.read_bytes() == content
    assert Store(tmp_path).sealed(toy.numbers().recipe) is None


def test_floats_within_the_tolerance_are_those_of_the_first_writer(tmp_path: Path) -> None:
    """A second writer takes over what the first has published, and its index agrees with it."""
    first, second = (
        Toy(tolerance=1e-3, numbers_stage=Numbers(noise=noise)) for noise in (0.0, 9e-4)
    )
    build(tmp_path / "first", [first.numbers()])
    build(tmp_path / "both", [first.files()])
    _publish(Store(tmp_path / "both"), first.numbers(), 0)
    (Store(tmp_path / "both").folder(first.numbers().recipe) / "records" / "00000.json").unlink()
    build(tmp_path / "both", [second.numbers()]).raise_failures()
    assert verify(Store(tmp_path / "both")) == []
    exact = values_of(tmp_path / "first", first.numbers(), "floats")
    both = values_of(tmp_path / "both", first.numbers(), "floats")
    assert np.array_equal(both[:3], exact[:3])
    assert not np.isclose(both[3:], exact[3:], rtol=0, atol=1e-4).any()


def test_floats_outside_the_tolerance_are_reported(tmp_path: Path) -> None:
    """The tolerance is a limit."""
    first, second = (
        Toy(tolerance=1e-3, numbers_stage=Numbers(noise=noise)) for noise in (0.0, 2e-3)
    )
    build(tmp_path, [first.files()])
    _publish(Store(tmp_path), first.numbers(), 1)
    (Store(tmp_path).folder(first.numbers().recipe) / "records" / "00001.json").unlink()
    outcome = build(tmp_path, [second.numbers()])
    assert [type(failure.error) for failure in outcome.failures] == [NonDeterminismError]


def test_a_shard_that_was_cut_short_is_no_first_writer(tmp_path: Path) -> None:
    """Whatever the tolerance, it is not taken over."""
    first, second = (
        Toy(tolerance=1e-3, numbers_stage=Numbers(noise=noise)) for noise in (0.0, 9e-4)
    )
    build(tmp_path, [first.files()])
    _publish(Store(tmp_path), first.numbers(), 0)
    folder = Store(tmp_path).folder(first.numbers().recipe)
    (folder / "records" / "00000.json").unlink()
    (shard,) = (folder / "floats").glob("c.0*")
    os.truncate(shard, 10)
    outcome = build(tmp_path, [second.numbers()])
    assert [type(failure.error) for failure in outcome.failures] == [NonDeterminismError]


def test_an_artifact_begun_with_another_shard_size_is_not_sealed(tmp_path: Path, toy: Toy) -> None:
    """Shards of two sizes never make one artifact; the error says what to remove."""
    build(tmp_path, [toy.files()])
    _publish(Store(tmp_path), toy.numbers(), 0)
    outcome = build(tmp_path, [Toy(numbers_slots=2).numbers()])
    with pytest.raises(UnitsFailedError, match="shards of another size; remove"):
        outcome.raise_failures()
    assert Store(tmp_path).sealed(toy.numbers().recipe) is None


def test_an_unsealed_artifact_with_all_its_shards_is_sealed_without_work(copied: Path) -> None:
    """Where only the manifest is missing, it is written and nothing is made again."""
    manifest = Store(copied).folder(Toy().sums("odd").recipe) / MANIFEST
    manifest.unlink()
    plan = make_plan(Store(copied), IDLE.targets())
    assert [step.units for step in plan.steps] == [()]
    run(Store(copied), plan, Manner(1)).raise_failures()
    assert manifest.exists()
    assert verify(Store(copied)) == []


def test_raw_data_may_be_deleted_once_what_is_made_from_it_is_sealed(copied: Path) -> None:
    """Inputs are wanted only where something that needs them is missing."""
    remove_tree(Store(copied).folder(Toy().files().recipe))
    remove_tree(Store(copied).folder(Toy().numbers().recipe))
    assert make_plan(Store(copied), IDLE.targets()).steps == ()


def _publish(store: Store, node: Node, shard: int) -> None:
    """Publish one shard as another process would."""
    inputs = {role: store.artifact(source) for role, source in node.recipe.inputs.items()}
    with store.writing(), store.staging() as staging:
        writer = UnitWriter(store, node.units[shard], staging)
        node.stage.run(node.units[shard], inputs, writer)
        writer.commit()
