"""Leases: who holds them, whether that one lives, and who takes over from the dead."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from pipeline import locks
from pipeline.events import Event, UnitFinished
from pipeline.locks import BEAT_SECONDS, SILENT_BEATS, Leases
from pipeline.plan import make_plan
from pipeline.runner import Manner, run
from pipeline.store import LEASES, OWNER, STAGING, Store
from pipeline.unit import Unit
from pipeline.verify import verify
from tests.pipeline.holders import beat, holding, kill, moved_elsewhere
from tests.pipeline.toy import Digests, Numbers, Toy, build, digests_of


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a lease that another host holds, under the id of a process that lives here."""
    path = tmp_path / "unit.lock"
    lease = Leases().take(path)
    assert lease is not None
    moved_elsewhere(path, token="foreign")
    return path


def test_one_of_many_gets_a_lease(tmp_path: Path) -> None:
    """Threads that ask for one lease at the same moment: one has it, until it gives it up."""
    for turn in range(20):
        path, got, start = tmp_path / str(turn), [], threading.Barrier(8)

        def take(path: Path = path, got: list[object] = got, start: object = start) -> None:
            start.wait(20)  # type: ignore[attr-defined]
            got.append(Leases().take(path))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (lease,) = [one for one in got if one is not None]
        lease.release()  # type: ignore[attr-defined]
        assert list(tmp_path.iterdir()) == []


def test_a_lease_says_who_holds_it(tmp_path: Path) -> None:
    """Its file names host and process for people, with its schema."""
    lease = Leases().take(tmp_path / "unit.lock")
    assert lease is not None
    said = json.loads(lease.path.read_text().splitlines()[1])
    assert said["schema"] == "medshards/lease/1"
    assert said["pid"] == os.getpid()
    assert said["host"]
    lease.release()


def test_a_dead_holder_on_this_host_is_taken_over_at_once(tmp_path: Path) -> None:
    """Its process is gone, or was not waited for, or another has its id: no clock is needed."""
    path = tmp_path / "unit.lock"
    process = holding(path)
    try:
        assert Leases().take(path) is None
        kill(process)
        lease = Leases().take(path)
        assert lease is not None
        lease.release()
    finally:
        process.kill()
        process.communicate()
    lease = Leases().take(path)
    assert lease is not None
    said = path.read_text()
    path.write_text(said.replace('"started": "', '"started": "1'))
    again = Leases().take(path)
    assert again is not None
    again.release()


def test_a_silent_holder_elsewhere_is_taken_over_after_a_minute(
    foreign: Path, clock: Clock
) -> None:
    """Every beat that is seen begins the minute anew; what its clock says never matters."""
    leases = Leases(clock=clock)
    assert leases.take(foreign) is None
    clock.now += BEAT_SECONDS * SILENT_BEATS
    assert leases.take(foreign) is None
    beat(foreign, 1)
    clock.now += BEAT_SECONDS * SILENT_BEATS
    os.utime(foreign, (0, 0))
    assert leases.take(foreign) is None
    clock.now += BEAT_SECONDS * SILENT_BEATS + 0.1
    lease = leases.take(foreign)
    assert lease is not None
    lease.release()


def test_a_first_look_takes_a_holder_elsewhere_for_living(foreign: Path) -> None:
    """However old the file is, a reader that has only just come knows nothing yet."""
    os.utime(foreign, (0, 0))
    assert Leases().take(foreign) is None


@pytest.mark.parametrize("content", ["", "0\n", "0\n{", '0\n{"schema": "medshards/lease/9"}', "[]"])
def test_what_cannot_be_read_is_held_until_it_is_silent(
    content: str, tmp_path: Path, clock: Clock
) -> None:
    """A lease that is just being written, or another version's, is respected."""
    path = tmp_path / "unit.lock"
    path.write_text(content)
    leases = Leases(clock=clock)
    assert leases.take(path) is None
    clock.now += BEAT_SECONDS * SILENT_BEATS + 0.1
    lease = leases.take(path)
    assert lease is not None
    lease.release()


def test_a_lost_lease_is_neither_kept_alive_nor_given_up_by_who_lost_it(tmp_path: Path) -> None:
    """What another has taken over meanwhile stays that one's."""
    path = tmp_path / "unit.lock"
    lost = Leases().take(path)
    assert lost is not None
    path.unlink()
    found = Leases().take(path)
    before = path.read_text()
    lost.beat(5)
    lost.release()
    assert path.read_text() == before
    assert found is not None
    found.beat(5)
    assert path.read_text() != before
    found.release()
    assert not path.exists()


def test_a_living_lease_that_was_moved_by_mistake_is_given_back(
    foreign: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes over looks again at what it took away."""
    leases = Leases(clock=clock)
    assert leases.is_live(foreign)
    clock.now += 100
    moving = Path.rename

    def rename(self: Path, target: Path) -> Path:
        beat(self, 7)  # as if its holder had been quicker
        return moving(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert leases.take(foreign) is None
    assert foreign.exists()
    assert list(foreign.parent.iterdir()) == [foreign]


def test_where_there_are_no_hard_links_a_lease_is_one_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is made where it belongs, which refuses a second."""

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    lease = Leases().take(tmp_path / "unit.lock")
    assert lease is not None
    assert Leases().take(tmp_path / "unit.lock") is None
    lease.release()
    assert list(tmp_path.iterdir()) == []


def test_leases_are_kept_alive_while_they_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread raises the counter, and nothing else has to be done."""
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(locks, "_beating", locks._Beating())
    lease = Leases().take(tmp_path / "unit.lock")
    assert lease is not None
    first = lease.path.read_text()
    waited = threading.Event()
    for _ in range(500):
        if lease.path.read_text() != first:
            break
        waited.wait(0.01)
    assert lease.path.read_text() != first
    lease.release()


def test_a_unit_of_a_silent_holder_elsewhere_is_built_in_the_end(
    reference: Digests, toy: Toy, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is done first, then the lost unit; nothing is lost and nothing made twice."""
    build(tmp_path, [toy.files()])
    lock = tmp_path / LEASES / f"{toy.numbers().recipe.key}-1.lock"
    assert Leases().take(lock) is not None
    moved_elsewhere(lock)
    made: list[int] = []
    monkeypatch.setattr("pipeline.runner._POLL_SECONDS", (0.001, 0.001))
    store_leases = Leases(clock=clock)
    monkeypatch.setattr("pipeline.sessions.Leases", lambda: store_leases)

    def listen(event: Event) -> None:
        if isinstance(event, UnitFinished) and event.label.startswith("numbers"):
            made.append(event.shard)
            clock.now += 40 * (len(made) == 2)
        elif len(made) == 2:
            clock.now += 1

    mine = Toy(numbers_stage=Numbers())
    build(tmp_path, mine.targets(), listeners=[listen]).raise_failures()
    assert made == [0, 2, 1]
    assert digests_of(tmp_path) == reference
    assert list((tmp_path / LEASES).iterdir()) == []


@pytest.mark.parametrize("taken", ["unit", "staging", "unit and staging"])
def test_a_holder_that_comes_back_neither_loses_nor_duplicates_anything(
    reference: Digests, toy: Toy, tmp_path: Path, taken: str
) -> None:
    """Stopped within a unit and taken for dead, it goes on later, and all succeed.

    Its unit was built by another, or what it had staged was swept, so that it stages it again.
    """
    begun, back, told = threading.Event(), threading.Event(), []

    def stop(unit: Unit) -> None:
        if unit.shard == 1 and not begun.is_set():
            begun.set()
            back.wait(60)

    def stopped() -> None:
        told.append(build(tmp_path, Toy(numbers_stage=Numbers(before=stop)).targets(), workers=1))

    build(tmp_path, [toy.files()])
    thread = threading.Thread(target=stopped)
    thread.start()
    begun.wait(60)
    for what, name in (("unit", "*-1.lock"), ("staging", f"*{OWNER}")):
        (lease,) = (tmp_path / LEASES).glob(name)
        if what in taken:
            moved_elsewhere(lease)
    other = Store(tmp_path)
    other._leases = Leases(silence=0.05)
    waited = threading.Event()
    while "staging" in taken and list((tmp_path / STAGING).iterdir()):
        other.sweep()
        waited.wait(0.06)
    if "unit" in taken:
        run(other, make_plan(other, toy.targets()), Manner(1)).raise_failures()
        assert digests_of(tmp_path) == reference
    back.set()
    thread.join(60)
    (outcome,) = told
    outcome.raise_failures()
    assert digests_of(tmp_path) == reference
    assert verify(Store(tmp_path)) == []
    assert list((tmp_path / LEASES).iterdir()) == list((tmp_path / STAGING).iterdir()) == []


def test_a_writer_that_was_taken_for_dead_owns_its_folder_again(tmp_path: Path) -> None:
    """Back to life it is known as a writer, and nobody sweeps what it stages."""
    store, other = Store(tmp_path), Store(tmp_path)
    with store.writing():
        (owner,) = (tmp_path / LEASES).glob(f"*{OWNER}")
        (session,) = (tmp_path / STAGING).iterdir()
        owner.unlink()
        session.rmdir()
        assert not other.is_being_written()
        store.return_to_life()
        assert other.is_being_written()
        assert session.is_dir()
        assert other.orphans() == []
    assert not other.is_being_written()
